/** OpenSSH, told to use what is too old, or what we do not know: refused both ways, and said so. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { type ErrorCode, SallyportError } from "../../src/errors.ts";
import { ALGORITHMS } from "../../src/ssh/algorithms.ts";
import { requirement } from "../requirements.ts";
import type { KeyType } from "../ssh/pair.ts";
import { closed, withSsh, withSshd } from "./openssh_visit.ts";

/** What this machine's OpenSSH can do and we do not, by `ssh -Q`. */
function foreign(query: string, ours: string[]): string[] {
  const all = execFileSync("ssh", ["-Q", query], { encoding: "utf8" }).trim().split("\n");
  return all.filter((name) => !ours.includes(name));
}

interface Kind {
  what: string;
  query: string;
  ours: string[];
  /** Settings of ssh_config, which are sshd_config's as well. */
  settings(name: string): [string, string][];
  keys?: KeyType;
  /** Those that OpenSSH knows in any version that runs here, and must be among the refused. */
  known: string[];
}

const KINDS: Kind[] = [
  {
    what: "key exchange",
    query: "kex",
    ours: ALGORITHMS.kex,
    settings: (name) => [["KexAlgorithms", name]],
    known: ["diffie-hellman-group14-sha1", "diffie-hellman-group1-sha1"],
  },
  {
    what: "cipher",
    query: "cipher",
    ours: ALGORITHMS.cipher,
    settings: (name) => [["Ciphers", name]],
    known: ["3des-cbc", "aes128-cbc", "aes256-cbc"],
  },
  {
    what: "MAC",
    query: "mac",
    ours: ALGORITHMS.mac,
    settings: (name) => [["Ciphers", "aes128-ctr"], ["MACs", name]],
    known: ["hmac-sha1", "hmac-sha1-etm@openssh.com"],
  },
  {
    what: "host key",
    query: "HostKeyAlgorithms",
    ours: ALGORITHMS.serverHostKey,
    settings: (name) => [["HostKeyAlgorithms", name]],
    keys: "rsa",
    known: ["ssh-rsa", "ssh-rsa-cert-v01@openssh.com"],
  },
];

const says = (names: string[], ...codes: ErrorCode[]) => (error: unknown) => {
  assert.ok(error instanceof SallyportError, String(error));
  assert.ok(codes.includes(error.code), `${error.code}: ${error.message}`);
  for (const name of names) assert.ok(error.message.includes(name), error.message);
  return true;
};

for (const { what, query, ours, settings, keys, known } of KINDS) {
  Deno.test({
    name: `ssh is refused by our relay with each ${what} that is not ours, and the reason names it`,
    ...requirement("ssh"),
    fn: async (t) => {
      const names = foreign(query, ours);
      for (const name of known) assert.ok(names.includes(name), `ssh does not know ${name}`);
      for (const name of names) {
        await t.step(name, () =>
          withSsh(
            { keys, more: settings(name).map(([key, value]) => `${key}=${value}`) },
            async ({ relay, ssh }) => {
              await assert.rejects(relay, says([name, "SSH-2.0-OpenSSH"], "ssh-algorithms"));
              assert.equal(await ssh.ended, 255);
            },
          ));
      }
    },
  });

  Deno.test({
    name:
      `an sshd that has only a ${what} of old is refused by our gateway, and the reason names it`,
    ...requirement("sshd"),
    fn: async (t) => {
      // The rest is the same to us; each sshd takes its time.
      for (const name of known) {
        await t.step(name, () =>
          withSshd(
            { keys, sshd: { more: settings(name).map(([key, value]) => `${key} ${value}`) } },
            async ({ connect, socket, sshd }) => {
              const names = name === "ssh-rsa" ? ["raw"] : [name];
              await assert.rejects(connect(), says(names, "ssh-algorithms", "host-key-raw"));
              await closed(socket());
              assert.doesNotMatch(sshd.log, /Accepted/);
            },
          ));
      }
    },
  });
}

Deno.test({
  name: "ssh is refused by our relay if it signs its login with SHA-1",
  ...requirement("ssh"),
  fn: () =>
    withSsh(
      { keys: "rsa", more: ["PubkeyAcceptedAlgorithms=ssh-rsa-cert-v01@openssh.com"] },
      async ({ relay, ssh, refusals }) => {
        assert.equal(await ssh.ended, 255);
        await assert.rejects(relay, SallyportError);
        // A newer ssh knows from our server-sig-algs that it need not even try.
        for (const error of refusals) assert.match(error.message, /does not fit|not accepted/);
        assert.doesNotMatch(ssh.log, /Authenticated to/);
      },
    ),
});
