/** Keys as they come from outside: whatever it is, it is read or refused with an error of ours. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { generateKeyPairSync, type KeyObject, X509Certificate } from "node:crypto";
import * as fc from "fast-check";
import {
  formatAuthorizedKey,
  formatPrivateKey,
  parseAuthorizedKey,
  parsePrivateKey,
  publicKeyBlob,
  publicKeyFromBlob,
  signSsh,
  verifySsh,
} from "../../src/certificates/ssh_key.ts";
import { readX509, readX509Pem, splitPem } from "../../src/certificates/x509.ts";
import { SallyportError } from "../../src/errors.ts";
import { mpint, string } from "../../src/ssh/wire.ts";
import { fuzz } from "../fuzz.ts";
import { gatewayRegistration } from "../registration_fixture.ts";

const KEYS: Record<string, KeyObject> = {
  rsa: generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey,
  ecdsa: generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey,
  ed25519: generateKeyPairSync("ed25519").privateKey,
};

/** Runs `parse`; anything thrown must be ours. */
function refusedOrRead(parse: () => unknown): void {
  try {
    parse();
  } catch (error) {
    assert.ok(
      error instanceof SallyportError && error.code === "key-malformed",
      error instanceof Error ? error.stack : String(error),
    );
  }
}

/** `bytes` with some changed, cut or put in. */
function damaged(bytes: Buffer) {
  return fc.tuple(
    fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { maxLength: 4 }),
    fc.oneof(fc.constant(bytes.length), fc.nat(bytes.length)),
    fc.oneof(fc.constant(new Uint8Array()), fc.uint8Array({ maxLength: 9 })),
  ).map(([changes, length, more]) => {
    const copy = Buffer.from(bytes);
    for (const [at, value] of changes) copy[at] = value;
    return Buffer.concat([copy.subarray(0, length), more]);
  });
}

Deno.test("any text as an authorized_keys line is read or refused", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 200 }), (line) => {
      refusedOrRead(() => parseAuthorizedKey(line));
    }),
    fuzz(500, 1),
  );
  for (const line of ["", " ", "ssh-rsa", "ssh-rsa AAAA", "ssh-ed25519 AAAAB3NzaC1yc2E= x"]) {
    assert.throws(() => parseAuthorizedKey(line), SallyportError, line);
  }
});

for (const [name, key] of Object.entries(KEYS)) {
  Deno.test(`a damaged ${name} key line, key or signature is read or refused`, () => {
    const blob = publicKeyBlob(key);
    const line = Buffer.from(formatAuthorizedKey(blob, "comment"));
    fc.assert(
      fc.property(damaged(line), damaged(blob), (text, bytes) => {
        refusedOrRead(() => parseAuthorizedKey(text.toString("latin1")));
        refusedOrRead(() => publicKeyFromBlob(bytes));
        assert.equal(verifySsh(bytes, Buffer.from("data"), bytes), false);
      }),
      fuzz(300, 2),
    );
  });

  Deno.test(`a damaged ${name} private key file is read or refused`, () => {
    const pem = formatPrivateKey(key);
    const [begin, ...rest] = pem.trimEnd().split("\n");
    const body = Buffer.from(rest.slice(0, -1).join(""), "base64");
    fc.assert(
      fc.property(damaged(body), (bytes) => {
        const lines = bytes.toString("base64").match(/.{1,64}/g) ?? [];
        refusedOrRead(() => parsePrivateKey([begin, ...lines, rest.at(-1), ""].join("\n")));
      }),
      fuzz(300, 3),
    );
    fc.assert(
      fc.property(damaged(Buffer.from(pem)), (text) => {
        refusedOrRead(() => parsePrivateKey(text.toString("latin1")));
      }),
      fuzz(100, 4),
    );
  });
}

Deno.test("an RSA key that would keep us busy is refused before it is used", () => {
  const rsa = (bits: number, exponent: Uint8Array) =>
    Buffer.concat([string("ssh-rsa"), mpint(exponent), mpint(Buffer.alloc(bits / 8, 0xff))]);
  const usual = Buffer.of(1, 0, 1);
  const signature = Buffer.concat([string("rsa-sha2-256"), string(Buffer.alloc(4096, 1))]);
  for (
    const blob of [
      rsa(1024, usual),
      rsa(32_768, usual),
      rsa(4096, Buffer.alloc(512, 0xff)),
      rsa(200_000, Buffer.alloc(25_000, 0xff)),
    ]
  ) {
    assert.throws(
      () => publicKeyFromBlob(blob),
      (error) =>
        error instanceof SallyportError && error.code === "key-malformed" &&
        /at least 2048|too large/.test(error.message),
    );
    const started = performance.now();
    assert.equal(verifySsh(blob, Buffer.from("data"), signature), false);
    assert.ok(performance.now() - started < 1000);
  }
});

for (const [name, key] of Object.entries(KEYS)) {
  Deno.test(`a ${name} private key with one changed byte is refused, or is the same key`, () => {
    const pem = formatPrivateKey(key);
    const [begin, ...rest] = pem.trimEnd().split("\n");
    const body = Buffer.from(rest.slice(0, -1).join(""), "base64");
    const data = Buffer.from("data");
    const blob = publicKeyBlob(key);
    fc.assert(
      fc.property(fc.nat(body.length - 1), fc.integer({ min: 1, max: 255 }), (at, by) => {
        const bytes = Buffer.from(body);
        bytes[at]! ^= by;
        const lines = bytes.toString("base64").match(/.{1,64}/g) ?? [];
        let read: KeyObject;
        try {
          read = parsePrivateKey([begin, ...lines, rest.at(-1), ""].join("\n"));
        } catch (error) {
          assert.ok(error instanceof SallyportError && error.code === "key-malformed");
          return;
        }
        const same = publicKeyBlob(read).equals(blob);
        if (name === "rsa" && !same) return; // PKCS#1 carries no second copy: another key, as whole.
        assert.ok(same, `byte ${at}: another key`);
        if (name !== "rsa") assert.ok(verifySsh(blob, data, signSsh(read, data)), `byte ${at}`);
      }),
      fuzz(250, 5),
    );
  });
}

Deno.test("a damaged X.509 certificate is read or refused, and never takes long", async () => {
  const { pki } = await gatewayRegistration();
  const der = Buffer.from(new X509Certificate(pki.serverCertificate).raw);
  const refused = (read: () => unknown) => {
    try {
      return read();
    } catch (error) {
      assert.ok(
        error instanceof SallyportError && error.code === "certificate-malformed",
        error instanceof Error ? error.stack : String(error),
      );
    }
  };
  const started = performance.now();
  fc.assert(
    fc.property(damaged(der), fc.uint8Array({ maxLength: 200 }), (bytes, any) => {
      refused(() => readX509(bytes));
      refused(() => readX509(any));
      const lines = bytes.toString("base64").match(/.{1,64}/g) ?? [];
      const pem = ["-----BEGIN CERTIFICATE-----", ...lines, "-----END CERTIFICATE-----"].join("\n");
      refused(() => readX509Pem(pem));
      refused(() => readX509Pem(bytes.toString("latin1")));
    }),
    fuzz(500, 6),
  );
  assert.ok(performance.now() - started < 10_000);
});

Deno.test("a bundle of PEM text is split in time that grows with its length", () => {
  const begin = "-----BEGIN CERTIFICATE-----";
  const started = performance.now();
  for (const text of [begin.repeat(20_000), `${begin}\n${"A".repeat(1_000_000)}`]) {
    assert.deepEqual(splitPem(text), []);
    assert.throws(() => readX509Pem(text), { code: "certificate-malformed" });
  }
  assert.ok(performance.now() - started < 2_000, `${performance.now() - started} ms`);
});
