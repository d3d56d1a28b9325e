/** The limits on strangers, as `relay start` is given them. */
import { once } from "node:events";
import { connect } from "node:net";
import { join } from "node:path";
import { startChild } from "../child.ts";
import { platform } from "../platform/fixture.ts";
import { ROOT } from "../requirements.ts";
import { temporaryFolder } from "../temporary.ts";
import { within } from "../within.ts";

const HOST = "127.0.72.40";

Deno.test("an attacker has as many connections at each port as --max-unauthenticated-per-address says", async () => {
  await using p = await platform();
  await using folder = await temporaryFolder();
  const { token } = p.admin.createRelayToken({ relay: "r1" });
  await using relay = startChild(Deno.execPath(), {
    args: [
      ...["run", "--quiet", "--allow-all", "--no-check", join(ROOT, "src", "main.ts")],
      ...["relay", "start", "--name", "r1", "--host", HOST, "--domain", p.url],
      ...["--enroll-method", "token", "--state-dir", folder.path],
      ...["--ssh-listen", `${HOST}:0`, "--tls-listen", `${HOST}:0`],
      ...["--max-unauthenticated", "3", "--max-unauthenticated-per-address", "1"],
    ],
    env: { INFISICAL_TOKEN: token },
  });
  const line = await relay.line(/relay r1 serves/);
  for (const port of /gateways on port (\d+) and clients on port (\d+)/.exec(line)!.slice(1)) {
    const come = async (localAddress: string) => {
      const socket = connect({ host: HOST, port: Number(port), localAddress });
      await once(socket, "connect");
      return socket.resume();
    };
    const first = await come("127.0.72.41");
    const gone = once(first, "close");
    const second = await come("127.0.72.41");
    await within(10_000, gone);
    // Of all who wait the first is closed when there are more than three: here the second.
    const ended = once(second, "close");
    const others = [];
    for (let i = 2; i < 5; i++) others.push(await come(`127.0.72.4${i}`));
    await within(10_000, ended);
    for (const socket of others) socket.destroy();
  }
});
