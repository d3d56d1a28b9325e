import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { execFileSync } from "node:child_process";
import { createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import {
  issueSshCertificate,
  parseSshCertificate,
  type SshCertificateDemands,
  type SshCertificateRequest,
  verifySshCertificate,
} from "../../src/certificates/ssh.ts";
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
import { SallyportError } from "../../src/errors.ts";
import { requirement } from "../requirements.ts";

const keygen = requirement("ssh-keygen");
const KEYS: Record<string, KeyObject> = {
  rsa: generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey,
  ecdsa: generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey,
  ed25519: generateKeyPairSync("ed25519").privateKey,
};
const HOUR = 3_600_000;
const NOW = new Date("2026-03-01T12:00:00Z");

function request(over: Partial<SshCertificateRequest> = {}): SshCertificateRequest {
  return {
    certType: "user",
    publicKey: KEYS.ecdsa!,
    authorityKey: KEYS.ed25519!,
    keyId: "client-r1",
    principals: ["11111111-1111-4111-8111-111111111111", "edge"],
    validAfter: new Date(NOW.getTime() - HOUR),
    validBefore: new Date(NOW.getTime() + HOUR),
    extensions: { "permit-port-forwarding": "" },
    ...over,
  };
}

const authority = () => publicKeyBlob(KEYS.ed25519!);
const refusal = (code: string) => (e: unknown) => e instanceof SallyportError && e.code === code;

function inTempFolder<T>(run: (folder: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), "sallyport-test-"));
  try {
    return run(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

for (const [name, key] of Object.entries(KEYS)) {
  Deno.test(`${name}: key, authorized_keys line, private key file and signature go round`, () => {
    const blob = publicKeyBlob(key);
    assert.deepEqual(publicKeyBlob(publicKeyFromBlob(blob)), blob);
    assert.deepEqual(parseAuthorizedKey(formatAuthorizedKey(blob, "a b")).blob, blob);
    assert.deepEqual(publicKeyBlob(parsePrivateKey(formatPrivateKey(key))), blob);
    const data = Buffer.from("signed");
    const signature = signSsh(key, data);
    assert.equal(verifySsh(blob, data, signature), true);
    assert.equal(verifySsh(blob, Buffer.from("other"), signature), false);
  });

  Deno.test({
    name: `ssh-keygen reads a certificate by and for ${name}, and the private key file`,
    ignore: keygen.ignore,
    fn: () =>
      inTempFolder((folder) => {
        const cert = issueSshCertificate(request({ publicKey: key, authorityKey: key }));
        const file = join(folder, "id-cert.pub");
        writeFileSync(file, formatAuthorizedKey(cert.blob) + "\n");
        const text = execFileSync("ssh-keygen", ["-L", "-f", file], { encoding: "utf8" });
        assert.match(text, /user certificate/);
        assert.match(text, /Key ID: "client-r1"/);
        assert.match(text, /11111111-1111-4111-8111-111111111111\s+edge/);
        assert.match(text, /permit-port-forwarding/);
        const secret = join(folder, "id");
        writeFileSync(secret, formatPrivateKey(key), { mode: 0o600 });
        const line = execFileSync("ssh-keygen", ["-y", "-f", secret], { encoding: "utf8" });
        assert.deepEqual(parseAuthorizedKey(line).blob, publicKeyBlob(key));
      }),
  });

  Deno.test({
    name: `a certificate that ssh-keygen made with ${name} is read and accepted`,
    ignore: keygen.ignore,
    fn: () =>
      inTempFolder((folder) => {
        const run = (...args: string[]) => execFileSync("ssh-keygen", ["-q", ...args]);
        run("-t", name, "-N", "", "-f", join(folder, "ca"));
        run("-t", name, "-N", "", "-f", join(folder, "host"));
        run(
          ...["-s", join(folder, "ca"), "-h", "-I", "relay-server", "-n", "relay.example:2222"],
          ...["-V", "+1h", join(folder, "host.pub")],
        );
        const line = readFileSync(join(folder, "host-cert.pub"), "utf8");
        const cert = parseSshCertificate(parseAuthorizedKey(line).blob);
        const ca = parseAuthorizedKey(readFileSync(join(folder, "ca.pub"), "utf8")).blob;
        const principals = ["relay.example:2222", "relay.example"];
        verifySshCertificate(cert, {
          certType: "host",
          authority: ca,
          principals,
          now: new Date(Date.now() + 60_000),
        });
        assert.equal(cert.keyId, "relay-server");
        const secret = parsePrivateKey(readFileSync(join(folder, "host"), "utf8"));
        assert.deepEqual(publicKeyBlob(createPublicKey(secret)), cert.publicKey);
      }),
  });
}

Deno.test("a certificate is refused for each thing that is wrong with it, by name", () => {
  const good = request();
  const demands: SshCertificateDemands = {
    certType: "user",
    authority: authority(),
    principals: ["edge"],
    now: NOW,
  };
  const check = (over: Partial<SshCertificateRequest>, with_: object = {}) => () =>
    verifySshCertificate(parseSshCertificate(issueSshCertificate({ ...good, ...over }).blob), {
      ...demands,
      ...with_,
    });
  check({})();
  assert.throws(check({ certType: "host" }), refusal("certificate-type"));
  assert.throws(check({ authorityKey: KEYS.rsa! }), refusal("certificate-authority"));
  assert.throws(
    check({ validBefore: new Date(NOW.getTime() - 1) }),
    refusal("certificate-validity"),
  );
  assert.throws(
    check({ validAfter: new Date(NOW.getTime() + 2000) }),
    refusal("certificate-validity"),
  );
  assert.throws(check({ validBefore: good.validAfter }), refusal("certificate-validity"));
  assert.throws(check({ principals: [] }), refusal("certificate-principal"));
  assert.throws(check({}, { principals: ["other"] }), refusal("certificate-principal"));
  assert.throws(
    check({ criticalOptions: { "force-command": "/bin/true" } }),
    refusal("certificate-option"),
  );
});

Deno.test("a certificate with one changed byte, a missing or an extra byte is refused", () => {
  const { blob } = issueSshCertificate(request());
  for (let at = 0; at < blob.length; at++) {
    const changed = Buffer.from(blob);
    changed[at]! ^= 1;
    assert.throws(() => parseSshCertificate(changed), SallyportError, `byte ${at}`);
  }
  assert.throws(() => parseSshCertificate(blob.subarray(0, -1)), SallyportError);
  assert.throws(() => parseSshCertificate(Buffer.concat([blob, Buffer.of(0)])), SallyportError);
});

Deno.test("a certificate longer than any packet is refused before anything in it is read", () => {
  const { blob } = issueSshCertificate(request());
  const long = Buffer.concat([blob, Buffer.alloc(64 * 1024)]);
  assert.throws(() => parseSshCertificate(long), /longer than 65536 bytes/);
});

Deno.test("an RSA certificate signed with SHA-1 is refused", () => {
  const { blob } = issueSshCertificate(request({ authorityKey: KEYS.rsa! }));
  const sha1 = Buffer.from(blob);
  const at = sha1.lastIndexOf("rsa-sha2-256");
  sha1.write("ssh-rsa\0\0\0\0\0", at, "latin1");
  assert.throws(() => parseSshCertificate(sha1), refusal("certificate-signature"));
});

Deno.test("whatever bytes come as a certificate or key, the answer is an error of ours", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => {
      assert.throws(() => parseSshCertificate(bytes), SallyportError);
    }),
    { numRuns: 500 },
  );
  const { blob } = issueSshCertificate(request());
  fc.assert(
    fc.property(
      fc.nat(blob.length - 5),
      fc.uint8Array({ minLength: 4, maxLength: 4 }),
      (at, four) => {
        const changed = Buffer.from(blob);
        changed.set(four, at);
        if (changed.equals(blob)) return;
        assert.throws(() => parseSshCertificate(changed), SallyportError);
      },
    ),
    { numRuns: 500 },
  );
});
