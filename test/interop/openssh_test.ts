/** OpenSSH as judge of our certificates and of our SSH, both ways. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import type { SshCertificateRequest } from "../../src/certificates/ssh.ts";
import { type ErrorCode, SallyportError } from "../../src/errors.ts";
import { ALGORITHMS, type Algorithms } from "../../src/ssh/algorithms.ts";
import { requirement } from "../requirements.ts";
import { GATEWAY_ID, KEY_TYPES, type KeyType, newKey } from "../ssh/pair.ts";
import { temporaryFolder } from "../temporary.ts";
import { writeLine } from "./openssh_program.ts";
import {
  closed,
  issue,
  RELAY,
  type SshCase,
  type SshdCase,
  withSsh,
  withSshd,
} from "./openssh_visit.ts";

const HOUR = 3_600_000;
const NAMES: Record<KeyType, string> = { rsa: "RSA", ecdsa: "ECDSA", ed25519: "ED25519" };
const past = {
  validAfter: new Date(Date.now() - 2 * HOUR),
  validBefore: new Date(Date.now() - HOUR),
};
const stranger = newKey("ed25519");

/** Every list of ours, one algorithm at a time; MACs count with ciphers that need one. */
const ONE_AT_A_TIME: Array<{ name: string; only: Partial<Algorithms> }> = [
  ...ALGORITHMS.kex.map((kex) => ({ name: kex, only: { kex: [kex] } })),
  ...ALGORITHMS.cipher.map((cipher) => ({ name: cipher, only: { cipher: [cipher] } })),
  ...ALGORITHMS.mac.map((mac) => ({
    name: `aes128-ctr with ${mac}`,
    only: { cipher: ["aes128-ctr"], mac: [mac] },
  })),
];

// Certificates

for (const certType of ["user", "host"] as const) {
  for (const keys of KEY_TYPES) {
    Deno.test({
      name: `ssh-keygen shows our ${keys} ${certType} certificate as it was meant`,
      ...requirement("ssh-keygen"),
      fn: async () => {
        await using folder = await temporaryFolder();
        const from = new Date("2026-03-01T12:00:00Z");
        const to = new Date("2026-03-02T12:00:00Z");
        const certificate = issue(certType, newKey(keys), newKey(keys), {
          validAfter: from,
          validBefore: to,
          serial: 7n,
        });
        const file = await writeLine(join(folder.path, "cert.pub"), certificate.blob);
        const text = execFileSync("ssh-keygen", ["-L", "-f", file], {
          encoding: "utf8",
          env: { ...Deno.env.toObject(), TZ: "UTC" },
        });
        const fields = text.split("\n").map((line) => line.trim());
        assert.match(text, new RegExp(`Type: \\S+-cert-v01@openssh.com ${certType} certificate`));
        assert.match(text, new RegExp(`Public key: ${NAMES[keys]}-CERT SHA256:`));
        assert.match(text, new RegExp(`Signing CA: ${NAMES[keys]} SHA256:`));
        assert.ok(fields.includes("Serial: 7"), text);
        const keyId = certType === "user" ? "client-r1" : "relay-server";
        assert.ok(fields.includes(`Key ID: "${keyId}"`), text);
        assert.ok(fields.includes("Valid: from 2026-03-01T12:00:00 to 2026-03-02T12:00:00"), text);
        const at = fields.indexOf("Principals:");
        const principals = certType === "user" ? [GATEWAY_ID, "edge"] : [RELAY];
        assert.deepEqual(
          fields.slice(at + 1, fields.indexOf("Critical Options: (none)")),
          principals,
        );
        assert.equal(fields.includes("permit-port-forwarding"), certType === "user");
      },
    });
  }
}

// Our gateway at OpenSSH's sshd

for (const keys of KEY_TYPES) {
  Deno.test({
    name: `sshd admits our gateway by its ${keys} certificate and proves itself by its own`,
    ...requirement("sshd"),
    fn: () =>
      withSshd({ keys }, async ({ connect, sshd, socket }) => {
        const session = await connect();
        assert.ok(await session.ping() > 0);
        await sshd.line(/Accepted publickey for .* ID client-r1/);
        session.close();
        await closed(socket());
      }),
  });
}

Deno.test({
  name: "every cipher, MAC and key exchange of ours works with sshd, before and after a rekey",
  ...requirement("sshd"),
  fn: (t) =>
    withSshd({}, async ({ connect, socket }) => {
      for (const { name, only } of ONE_AT_A_TIME) {
        await t.step(name, async () => {
          const session = await connect({ algorithms: { ...ALGORITHMS, ...only } });
          await Promise.all(Array.from({ length: 20 }, () => session.ping()));
          session.rekey();
          await Promise.all(Array.from({ length: 20 }, () => session.ping()));
          session.close();
          await closed(socket());
        });
      }
    }),
});

Deno.test({
  name: "sshd may ask for new keys at any time",
  ...requirement("sshd"),
  fn: () =>
    withSshd({ sshd: { more: ["RekeyLimit 1K"] } }, async ({ connect, sshd, socket }) => {
      const session = await connect();
      for (let i = 0; i < 200; i++) await session.ping();
      const exchanges = sshd.log.match(/SSH2_MSG_KEXINIT sent/g)?.length ?? 0;
      assert.ok(exchanges > 3, `${exchanges} key exchanges`);
      session.close();
      await closed(socket());
    }),
});

const SSHD_REFUSED: Array<{ what: string; given: SshdCase; code: ErrorCode }> = [
  { what: "shows a raw key", given: { certified: false }, code: "host-key-raw" },
  {
    what: "has a certificate of another authority",
    given: { host: { authorityKey: stranger } },
    code: "certificate-authority",
  },
  {
    what: "has a certificate for another host",
    given: { host: { principals: ["other.test"] } },
    code: "certificate-principal",
  },
  { what: "has an expired certificate", given: { host: past }, code: "certificate-validity" },
  {
    what: "has a certificate of user type",
    given: { host: { certType: "user" } },
    code: "certificate-type",
  },
];

for (const { what, given, code } of SSHD_REFUSED) {
  Deno.test({
    name: `our gateway refuses an sshd that ${what}`,
    ...requirement("sshd"),
    fn: () =>
      withSshd(given, async ({ connect, socket, sshd }) => {
        await assert.rejects(
          connect(),
          (error) => error instanceof SallyportError && error.code === code,
        );
        await closed(socket());
        assert.doesNotMatch(sshd.log, /Accepted/);
      }),
  });
}

const GATEWAYS_REFUSED_BY_SSHD: Array<{ what: string; user: Partial<SshCertificateRequest> }> = [
  { what: "of another authority", user: { authorityKey: stranger } },
  { what: "that has expired", user: past },
  { what: "of host type", user: { certType: "host" } },
  { what: "for nobody", user: { principals: [] } },
];

for (const { what, user } of GATEWAYS_REFUSED_BY_SSHD) {
  Deno.test({
    name: `our gateway says so when sshd refuses its certificate, one ${what}`,
    ...requirement("sshd"),
    fn: () =>
      withSshd({ user }, async ({ connect, socket }) => {
        await assert.rejects(
          connect(),
          (error) => error instanceof SallyportError && error.code === "ssh-authentication",
        );
        await closed(socket());
      }),
  });
}

// OpenSSH's ssh at our relay

for (const keys of KEY_TYPES) {
  Deno.test({
    name: `ssh trusts our relay by its ${keys} certificate and logs in with its own`,
    ...requirement("ssh"),
    fn: () =>
      withSsh({ keys }, async ({ relay, ssh }) => {
        const session = await relay;
        assert.equal(session.gatewayId, GATEWAY_ID);
        assert.ok(await session.ping() > 0);
        await assert.rejects(
          session.open(),
          (error) => error instanceof SallyportError && error.code === "ssh-channel",
        );
        await ssh.line(
          /server-sig-algs=<ssh-ed25519,(ecdsa-sha2-nistp\d+,){3}rsa-sha2-512,rsa-sha2-256>/,
        );
        await ssh.line(
          /Host 'relay\.test:2222' is known and matches the \S+-CERT host certificate/,
        );
      }),
  });
}

Deno.test({
  name: "every cipher, MAC and key exchange of ours works with ssh, before and after a rekey",
  ...requirement("ssh"),
  fn: async (t) => {
    for (const { name, only } of ONE_AT_A_TIME) {
      await t.step(name, () => {
        const more = [
          ...(only.kex ? [`KexAlgorithms=${only.kex}`] : []),
          ...(only.cipher ? [`Ciphers=${only.cipher}`] : []),
          ...(only.mac ? [`MACs=${only.mac}`] : []),
        ];
        return withSsh({ more }, async ({ relay }) => {
          const session = await relay;
          await Promise.all(Array.from({ length: 20 }, () => session.ping()));
          session.rekey();
          await Promise.all(Array.from({ length: 20 }, () => session.ping()));
        });
      });
    }
  },
});

Deno.test({
  name: "ssh may ask for new keys at any time",
  ...requirement("ssh"),
  fn: () =>
    withSsh({ more: ["RekeyLimit=1K"] }, async ({ relay, ssh }) => {
      const session = await relay;
      for (let i = 0; i < 200; i++) await session.ping();
      const exchanges = ssh.log.match(/SSH2_MSG_KEXINIT sent/g)?.length ?? 0;
      assert.ok(exchanges > 3, `${exchanges} key exchanges`);
    }),
});

Deno.test({
  name: "ssh may ask for new keys because of the time",
  ...requirement("ssh"),
  fn: () =>
    withSsh({ more: ["RekeyLimit=1G 1s"] }, async ({ relay, ssh }) => {
      const session = await relay;
      const exchanges = () => ssh.log.match(/SSH2_MSG_KEXINIT sent/g)?.length ?? 0;
      const until = performance.now() + 10_000;
      while (exchanges() < 3 && performance.now() < until) await session.ping();
      await session.ping();
      assert.ok(exchanges() >= 3, `${exchanges()} key exchanges`);
    }),
});

const RELAYS_REFUSED: Array<{ what: string; given: SshCase; says: RegExp }> = [
  {
    what: "of another authority",
    given: { host: { authorityKey: stranger } },
    says: /No \S+ host key is known|no matching CA/i,
  },
  { what: "that has expired", given: { host: past }, says: /Certificate invalid: expired/ },
  {
    what: "for another host",
    given: { name: "other.test:2222" },
    says: /Certificate invalid: name is not a listed principal/,
  },
  {
    what: "of user type",
    given: { host: { certType: "user" } },
    says: /Certificate invalid: not a host certificate/,
  },
];

for (const { what, given, says } of RELAYS_REFUSED) {
  Deno.test({
    name: `ssh refuses our relay if its certificate is one ${what}`,
    ...requirement("ssh"),
    fn: () =>
      withSsh(given, async ({ relay, ssh }) => {
        assert.equal(await ssh.ended, 255);
        assert.match(ssh.log, says);
        assert.match(ssh.log, /Host key verification failed/);
        await assert.rejects(relay, SallyportError);
      }),
  });
}

const GATEWAYS_REFUSED: Array<{ what: string; given: SshCase; code: ErrorCode }> = [
  { what: "shows a raw key", given: { certified: false }, code: "ssh-authentication" },
  {
    what: "has a certificate for another relay",
    given: { user: { keyId: "client-r2" } },
    code: "certificate-key-id",
  },
  { what: "has an expired certificate", given: { user: past }, code: "certificate-validity" },
  {
    // ssh does not show such a certificate at all; one that does is refused in ssh/session_test.ts.
    what: "has a certificate of host type, and so only its key to show",
    given: { user: { certType: "host" } },
    code: "ssh-authentication",
  },
  {
    what: "has a certificate of another authority",
    given: { user: { authorityKey: stranger } },
    code: "certificate-authority",
  },
  {
    what: "has a certificate for another gateway",
    given: { user: { principals: ["someone"] } },
    code: "certificate-principal",
  },
];

for (const { what, given, code } of GATEWAYS_REFUSED) {
  Deno.test({
    name: `our relay refuses an ssh that ${what}`,
    ...requirement("ssh"),
    fn: () =>
      withSsh(given, async ({ relay, ssh, refusals }) => {
        assert.equal(await ssh.ended, 255);
        assert.match(ssh.log, /Permission denied \(publickey\)/);
        await assert.rejects(relay, SallyportError);
        assert.ok(refusals.some((error) => error.code === code), `${refusals}`);
      }),
  });
}
