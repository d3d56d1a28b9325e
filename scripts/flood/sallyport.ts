/** Our relay as a subject, with a platform, a gateway and a target, each a process. */
import { once } from "node:events";
import { connect } from "node:net";
import { PlatformApi } from "../../src/enroll/api.ts";
import { StreamOpener } from "../../src/client/stream.ts";
import { loopbackArena } from "../../test/faults/arena.ts";
import { FaultSystem } from "../../test/faults/system.ts";
import { GATEWAY, RELAY } from "../../test/interop/lab_system.ts";
import { joinRelay } from "../../test/relay/system.ts";
import type { Subject } from "./subject.ts";

/** Everything is started on `host`; newcomers come from `honest`. */
export async function sallyport(host: string, honest: string): Promise<Subject> {
  const system = await FaultSystem.start({ arena: loopbackArena(host) });
  const api = new PlatformApi({ domain: system.url, token: () => system.token });
  const registration = await api.registerGateway({ name: "newcomer", relayName: RELAY });
  const grant = await api.openConnection({
    gateway: GATEWAY,
    targetHost: "127.0.0.1",
    targetPort: system.targetPort,
  });
  const opener = new StreamOpener();
  return {
    name: "sallyport",
    host,
    ports: { ssh: 2222, tls: 8443 },
    pid: system.part("relay").pid,
    dial: () => system.dial(),
    async newcomer(port, signal) {
      if (port === "tls") {
        const stream = await opener.stream(grant, "infisical-ping", signal);
        return void stream.on("error", () => {}).destroy();
      }
      const socket = connect({ host, port: 2222, localAddress: honest, allowHalfOpen: true });
      socket.setNoDelay(true);
      await once(socket, "connect", { signal });
      (await joinRelay(registration, { socket, signal })).close();
    },
    [Symbol.asyncDispose]: () => system[Symbol.asyncDispose](),
  };
}
