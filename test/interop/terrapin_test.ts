/** Terrapin (CVE-2023-48795) between one of ours and one of OpenSSH's; both of ours: ssh/terrapin_test.ts. */
import assert from "node:assert/strict";
import { SallyportError } from "../../src/errors.ts";
import { requirement } from "../requirements.ts";
import {
  inFrontOf,
  meaningless,
  meddler,
  type Meddling,
  NUMBER,
  type Way,
  withoutPromise,
} from "../ssh/meddler.ts";
import { HOST } from "./openssh_program.ts";
import { type Between, closed, withSsh, withSshd } from "./openssh_visit.ts";

const NEWKEYS = 21;

const between = (meddling: Meddling): Between => (port) =>
  meddler({ host: HOST, port }, { host: HOST, ...meddling });

const attack = (way: Way): Meddling => ({
  change: { [way]: inFrontOf(NEWKEYS, meaningless(NUMBER.ignore)) },
  cut: way,
});

const ATTACKS: { what: string; meddling: Meddling; victim?: Way }[] = [
  {
    what: "puts in an IGNORE and cuts out the server's EXT_INFO",
    meddling: attack("toClient"),
    victim: "toClient",
  },
  {
    what: "puts in an IGNORE and cuts out what the client says first",
    meddling: attack("toServer"),
    victim: "toServer",
  },
  {
    what: "puts an IGNORE before the server's KEXINIT",
    meddling: { before: { toClient: [meaningless(NUMBER.ignore)] } },
    victim: "toClient",
  },
  {
    what: "puts a DEBUG before the client's KEXINIT",
    meddling: { before: { toServer: [meaningless(NUMBER.debug)] } },
    victim: "toServer",
  },
  {
    what: "takes both promises of strictness away",
    meddling: { change: { toClient: withoutPromise, toServer: withoutPromise } },
  },
];

for (const { what, meddling, victim } of ATTACKS) {
  Deno.test({
    name: `somebody between our gateway and sshd ${what}`,
    ...requirement("sshd"),
    fn: () =>
      withSshd({ between: between(meddling) }, async ({ connect, sshd, socket }) => {
        await assert.rejects(connect(), (error) => {
          assert.ok(error instanceof SallyportError, String(error));
          if (victim === "toClient") assert.equal(error.code, "ssh-protocol");
          return true;
        });
        await closed(socket());
        if (victim === "toServer") {
          await sshd.line(/strict KEX violation|KEXINIT was not the first/i);
        }
        assert.doesNotMatch(sshd.log, /Accepted/);
      }),
  });

  Deno.test({
    name: `somebody between ssh and our relay ${what}`,
    ...requirement("ssh"),
    fn: () =>
      withSsh({ between: between(meddling) }, async ({ relay, ssh }) => {
        await assert.rejects(relay, (error) => {
          assert.ok(error instanceof SallyportError, String(error));
          if (victim === "toServer") assert.equal(error.code, "ssh-protocol");
          return true;
        });
        assert.equal(await ssh.ended, 255);
        if (victim === "toClient") {
          assert.match(ssh.log, /strict KEX violation|KEXINIT was not the first/i);
        }
      }),
  });
}

Deno.test({
  name: "somebody who only looks on is no hindrance, neither with sshd nor with ssh",
  ...requirement("sshd"),
  fn: async () => {
    await withSshd({ between: between({}) }, async ({ connect, socket }) => {
      const session = await connect();
      assert.ok(await session.ping() > 0);
      session.close();
      await closed(socket());
    });
    await withSsh({ between: between({}) }, async ({ relay }) => {
      assert.ok(await (await relay).ping() > 0);
    });
  },
});
