/** Certificates with something wrong that ssh-keygen can make: what it made is what ours refuse. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseSshCertificate, verifySshCertificate } from "../../src/certificates/ssh.ts";
import { parseAuthorizedKey } from "../../src/certificates/ssh_key.ts";
import { type ErrorCode, SallyportError } from "../../src/errors.ts";
import { requirement } from "../requirements.ts";
import { temporaryFolder } from "../temporary.ts";

const RELAY = "relay.example:2222";
const named = ["-n", RELAY];

interface Made {
  what: string;
  /** Arguments for `ssh-keygen -s`. */
  args: string[];
  ca?: string[];
  key?: string[];
  /** Undefined if there is nothing wrong. */
  code?: ErrorCode;
}

const MADE: Made[] = [
  { what: "nothing wrong", args: ["-h", ...named] },
  { what: "no end", args: ["-h", ...named, "-V", "always:forever"] },
  { what: "an extension of its own", args: ["-h", ...named, "-O", "extension:x@example.com=y"] },
  {
    what: "a critical option",
    args: ["-h", ...named, "-O", "critical:x@example.com=y"],
    code: "certificate-option",
  },
  {
    what: "a forced command",
    args: [...named, "-O", "force-command=id"],
    code: "certificate-type",
  },
  { what: "nobody as principal", args: ["-h"], code: "certificate-principal" },
  { what: "a wildcard as principal", args: ["-h", "-n", "*"], code: "certificate-principal" },
  {
    what: "the relay's name and a port for all",
    args: ["-h", "-n", "relay.example:*"],
    code: "certificate-principal",
  },
  {
    what: "an end in the past",
    args: ["-h", ...named, "-V", "20200101:20200102"],
    code: "certificate-validity",
  },
  {
    what: "a beginning in the future",
    args: ["-h", ...named, "-V", "+1h:+2h"],
    code: "certificate-validity",
  },
  { what: "the type of a user's", args: named, code: "certificate-type" },
  {
    what: "a signature by SHA-1",
    ca: ["-t", "rsa", "-b", "2048"],
    args: ["-h", ...named, "-t", "ssh-rsa"],
    code: "certificate-signature",
  },
  {
    what: "an authority of 1024 bits",
    ca: ["-t", "rsa", "-b", "1024"],
    args: ["-h", ...named],
    code: "certificate-malformed",
  },
  {
    what: "a key of 1024 bits",
    key: ["-t", "rsa", "-b", "1024"],
    args: ["-h", ...named],
    code: "certificate-malformed",
  },
];

const ED25519 = ["-t", "ed25519"];

for (const { what, args, ca = ED25519, key = ED25519, code } of MADE) {
  Deno.test({
    name: `a host certificate by ssh-keygen with ${what} is ${code ? "refused" : "accepted"}`,
    ...requirement("ssh-keygen"),
    async fn() {
      await using folder = await temporaryFolder();
      const path = (name: string) => join(folder.path, name);
      const run = (...more: string[]) => execFileSync("ssh-keygen", ["-q", ...more]);
      const line = (name: string) => parseAuthorizedKey(readFileSync(path(name), "utf8")).blob;
      run(...ca, "-N", "", "-f", path("ca"));
      run(...key, "-N", "", "-f", path("host"));
      run("-s", path("ca"), "-I", "relay-server", ...args, path("host.pub"));
      const judge = () =>
        verifySshCertificate(parseSshCertificate(line("host-cert.pub")), {
          certType: "host",
          authority: line("ca.pub"),
          principals: [RELAY],
          now: new Date(),
        });
      if (code === undefined) return judge();
      assert.throws(judge, (error) => error instanceof SallyportError && error.code === code);
    },
  });
}
