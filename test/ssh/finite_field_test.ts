/** Diffie-Hellman with short exponents, against node's own. */
import assert from "node:assert/strict";
import { createDiffieHellmanGroup } from "node:crypto";
import { FiniteFieldKey, primeOf, toBigInt } from "../../src/ssh/internals/finite_field.ts";

for (const group of ["modp14", "modp16"]) {
  Deno.test(`${group}: node's side has the same secret`, () => {
    const [ours, theirs] = [FiniteFieldKey.make(group)!, createDiffieHellmanGroup(group)];
    const secret = ours.computeSecret(theirs.generateKeys());
    assert.equal(toBigInt(secret), toBigInt(theirs.computeSecret(ours.generateKeys())));
    assert.equal(secret.length, primeOf(group).toString(16).length / 2);
  });
}

Deno.test("no two keys are the same, and none is trivial", () => {
  const values = Array.from(
    { length: 20 },
    () => toBigInt(FiniteFieldKey.make("modp14")!.generateKeys()),
  );
  assert.equal(new Set(values).size, values.length);
  // Less than the prime's bits: the power was not reduced, so that its logarithm can be read off.
  assert.ok(values.every((value) => value.toString(2).length > 1900));
});

Deno.test("a stranger who asks for the largest group keeps the relay busy for less than a tenth of node's time", () => {
  const theirs = createDiffieHellmanGroup("modp18").generateKeys();
  const exchange = () => {
    const started = performance.now();
    const key = FiniteFieldKey.make("modp18")!;
    key.generateKeys();
    key.computeSecret(theirs);
    return performance.now() - started;
  };
  // 30 ms on the machine that docs/reliability.md speaks of; node's way takes 614 ms there.
  assert.ok(Math.min(exchange(), exchange(), exchange()) < 300);
});

Deno.test("a group whose strength is not known has no short exponent", () => {
  assert.equal(FiniteFieldKey.make("modp2"), undefined);
});
