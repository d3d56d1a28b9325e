/** OpenSSH's sshd as a subject, with the limits that it has without being told, and `ssh -L` through it. */
import { once } from "node:events";
import { connect } from "node:net";
import { join } from "node:path";
import { runChild, startChild } from "../../test/child.ts";
import { freePort, listening } from "../../test/lab_process.ts";
import { ROOT } from "../../test/requirements.ts";
import { temporaryFolder } from "../../test/temporary.ts";
import type { Subject } from "./subject.ts";

const SSHD = "/usr/sbin/sshd";

/** Everything is started on `host`; newcomers come from `honest`. */
export async function openssh(host: string, honest: string): Promise<Subject> {
  const stack = new AsyncDisposableStack();
  const folder = stack.use(await temporaryFolder()).path;
  const [port, local, target] = [
    await freePort(host),
    await freePort(host),
    await freePort("127.0.0.1"),
  ];
  for (const name of ["host", "user"]) {
    await demand("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", join(folder, name)]);
  }
  if (Deno.uid() === 0) await Deno.mkdir("/run/sshd", { recursive: true, mode: 0o755 });
  const config = join(folder, "sshd_config");
  await Deno.writeTextFile(
    config,
    [
      `Port ${port}`,
      `ListenAddress ${host}`,
      `HostKey ${join(folder, "host")}`,
      `AuthorizedKeysFile ${join(folder, "user.pub")}`,
      "PermitRootLogin prohibit-password",
      "PasswordAuthentication no",
      "KbdInteractiveAuthentication no",
      "StrictModes no",
      "UsePAM no",
      "PidFile none",
      "LogLevel ERROR",
    ].join("\n"),
  );
  const log = join(folder, "log");
  const server = stack.use(startChild(SSHD, { args: ["-D", "-E", log, "-f", config] }));
  await listening(host, port);
  const deno = [
    "run",
    "--quiet",
    "--allow-all",
    "--no-check",
    join(ROOT, "test/faults/target.ts"),
    String(target),
  ];
  const targetProcess = stack.use(startChild(Deno.execPath(), { args: deno }));
  await targetProcess.line(/target ready/);
  const options = [
    ...["-F", "none", "-i", join(folder, "user"), "-p", String(port), "-b", honest],
    ...["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR"]
      .flatMap((option) => ["-o", option]),
    ...["-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes"],
  ];
  const forward = `${host}:${local}:127.0.0.1:${target}`;
  stack.use(startChild("ssh", { args: [...options, "-N", "-L", forward, host] }));
  await listening(host, local);
  return {
    name: "OpenSSH",
    host,
    ports: { ssh: port },
    pid: server.pid,
    async dial() {
      const socket = connect({ host, port: local, allowHalfOpen: true, noDelay: true });
      await once(socket, "connect");
      return socket;
    },
    async newcomer(_, signal) {
      const child = startChild("ssh", { args: [...options, host, "true"] });
      const kill = () => child.kill("SIGKILL");
      signal.addEventListener("abort", kill);
      const status = await child.status;
      signal.removeEventListener("abort", kill);
      if (status !== 0) throw new Error(`ssh ended with ${status}`);
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

async function demand(program: string, args: string[]): Promise<void> {
  const { status, err } = await runChild(program, { args });
  if (status !== 0) throw new Error(`${program}: ${err}`);
}
