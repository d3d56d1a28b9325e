/**
 * The same certificates with one thing wrong that ours refuse (ssh/crafted_certificates_test.ts), shown to
 * OpenSSH: that it refuses them too says that they are wrong. Where it is not as strict as we are, it is
 * not asked: a newer one may be.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { formatPrivateKey, publicKeyBlob } from "../../src/certificates/ssh_key.ts";
import { SallyportError } from "../../src/errors.ts";
import { acceptSsh } from "../../src/ssh/server.ts";
import {
  type Attempt,
  ATTEMPTS,
  type Craft,
  craft,
  type Crafted,
  type Kind,
  ODD,
} from "../certificates/crafted.ts";
import { requirement } from "../requirements.ts";
import { connectTo, GATEWAY_ID, listenOnce, newKey } from "../ssh/pair.ts";
import { rawSession } from "../ssh/raw_session.ts";
import { temporaryFolder } from "../temporary.ts";
import { within } from "../within.ts";
import { HOST, startSsh, startSshd, USER, writeKey, writeLine } from "./openssh_program.ts";
import { closed, RELAY } from "./openssh_visit.ts";

function given(kind: Kind): Craft {
  const [key, authority] = [newKey("ed25519"), newKey("ed25519")];
  return kind === "user"
    ? { kind, principal: GATEWAY_ID, keyId: "client-r1", key, authority }
    : { kind, principal: RELAY, keyId: "relay-server", key, authority };
}

/** True if OpenSSH's program that meets certificates of this kind refuses this one. */
function isRefused({ openssh, only }: Attempt, kind: Kind): boolean {
  const takes = openssh !== undefined && openssh !== (kind === "user" ? "host" : "user");
  return (only ?? kind) === kind && !takes;
}

function reads(file: string): boolean {
  try {
    execFileSync("ssh-keygen", ["-L", "-f", file], { stdio: "pipe" });
    return true;
  } catch {
    return false;
  }
}

Deno.test({
  name: "ssh-keygen cannot read what is malformed, and reads what is wrong in its rights alone",
  ...requirement("ssh-keygen"),
  async fn() {
    await using folder = await temporaryFolder();
    const path = join(folder.path, "crafted-cert.pub");
    for (const { what, make, unreadable, code, openssh } of ATTEMPTS) {
      const file = await writeLine(path, make(given("user")).blob);
      if (unreadable) assert.equal(reads(file), false, what);
      else if (openssh === undefined && code !== "certificate-malformed") {
        assert.equal(reads(file), true, what);
      }
    }
    for (const { what, over } of ODD) {
      assert.ok(reads(await writeLine(path, craft(given("user"), over).blob)), what);
    }
  },
});

/** True if sshd lets somebody in. */
async function admits(port: number, { blob, key }: Crafted): Promise<boolean> {
  const socket = await connectTo(port, HOST);
  const raw = rawSession(socket, { certificate: blob, key, user: USER });
  const admitted = await within(5000, raw.login).catch(() => false);
  raw.session.close();
  await closed(socket);
  return admitted;
}

/** From 9.8 on sshd shuts out who fails several times. */
function withoutPenalties(): string[] {
  const { stderr } = new Deno.Command("ssh", { args: ["-V"], stderr: "piped" }).outputSync();
  const [, major, minor] = /OpenSSH_(\d+)\.(\d+)/.exec(new TextDecoder().decode(stderr)) ?? [];
  return Number(major) + Number(minor) / 10 >= 9.8 ? ["PerSourcePenalties no"] : [];
}

Deno.test({
  name: "sshd refuses the user certificates that our relay refuses, and admits the odd ones",
  ...requirement("sshd"),
  async fn(t) {
    await using folder = await temporaryFolder();
    const path = (name: string) => join(folder.path, name);
    const host = craft(given("host"));
    await using sshd = await startSshd({
      folder: folder.path,
      hostKeys: [await writeKey(path("host"), formatPrivateKey(host.key))],
      hostCertificates: [await writeLine(path("host-cert.pub"), host.blob)],
      userAuthority: newKey("ed25519"),
      principals: [GATEWAY_ID],
      more: withoutPenalties(),
    });
    const trust = (crafted: Crafted) =>
      writeLine(path("user_ca.pub"), publicKeyBlob(crafted.trusted));
    for (const attempt of ATTEMPTS) {
      if (!isRefused(attempt, "user")) continue;
      await t.step(`one ${attempt.what}`, async () => {
        const crafted = attempt.make(given("user"));
        await trust(crafted);
        assert.equal(await admits(sshd.port, crafted), false);
      });
    }
    for (const { what, over } of ODD) {
      await t.step(`one ${what}`, async () => {
        const crafted = craft(given("user"), over);
        await trust(crafted);
        assert.equal(await admits(sshd.port, crafted), true, sshd.log.slice(-2000));
      });
    }
  },
});

/** One visit of ssh at a server that shows a host certificate: true if it goes on to log in. */
async function isTrusted({ blob, key, trusted }: Crafted, folder: string): Promise<boolean> {
  const path = (name: string) => join(folder, name);
  const { server, socket: visit, port } = await listenOnce(HOST);
  await using ssh = startSsh({
    port,
    user: GATEWAY_ID,
    host: RELAY,
    knownHosts: await writeLine(
      path("known_hosts"),
      publicKeyBlob(trusted),
      "@cert-authority * ",
    ),
    identity: await writeKey(path("id"), formatPrivateKey(newKey("ed25519"))),
  });
  const socket = await visit;
  // It has no certificate to log in with, and is sent away with "Permission denied" if it tries.
  await assert.rejects(
    acceptSsh({
      socket,
      host: { certificate: blob, privateKey: key },
      userAuthority: publicKeyBlob(newKey("ed25519")),
      keyId: "client-r1",
    }),
    SallyportError,
  );
  await within(5000, ssh.ended);
  await closed(socket);
  server.close();
  await once(server, "close");
  return /Permission denied \(publickey\)/.test(ssh.log);
}

Deno.test({
  name: "ssh refuses the host certificates that our gateway refuses, and trusts the odd ones",
  ...requirement("ssh"),
  async fn(t) {
    await using folder = await temporaryFolder();
    for (const attempt of ATTEMPTS) {
      if (!isRefused(attempt, "host")) continue;
      await t.step(`one ${attempt.what}`, async () => {
        assert.equal(await isTrusted(attempt.make(given("host")), folder.path), false);
      });
    }
    for (const { what, over } of ODD) {
      await t.step(`one ${what}`, async () => {
        assert.equal(await isTrusted(craft(given("host"), over), folder.path), true);
      });
    }
  },
});
