/**
 * One end of a connection, as a program that a test runs inside a namespace:
 *
 *     peer.ts listen  [{"protocol","host","port"}…]    echoes on all, prints "listening"
 *     peer.ts probe   [{"protocol","host","port"}…]    tries all, prints a JSON list of outcomes
 */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { connect, createServer, isIPv6 } from "node:net";
import process from "node:process";

/** Where a probe goes, or a listener waits. */
export interface Place {
  protocol: "tcp" | "udp";
  host: string;
  port: number;
}

/** What became of a probe: an echo, an error at once, or nothing within the deadline. */
export type Outcome = "open" | "refused" | "silent";

/** Long enough for a neighbour to be found, ms; only a refusal without an answer takes as long. */
const DEADLINE = 1500;

function udpFor(host: string) {
  return createSocket(isIPv6(host) ? "udp6" : "udp4");
}

async function listen({ protocol, host, port }: Place): Promise<void> {
  if (protocol === "tcp") {
    const server = createServer((socket) => socket.on("error", () => {}).pipe(socket));
    await once(server.listen(port, host), "listening");
    return;
  }
  const socket = udpFor(host);
  socket.on("message", (bytes, from) => socket.send(bytes, from.port, from.address));
  socket.bind(port, host);
  await once(socket, "listening");
}

function probe({ protocol, host, port }: Place): Promise<Outcome> {
  return new Promise((resolve) => {
    const end = (outcome: Outcome) => {
      clearTimeout(timer);
      close();
      resolve(outcome);
    };
    const timer = setTimeout(() => end("silent"), DEADLINE);
    let close: () => void;
    if (protocol === "tcp") {
      const socket = connect({ host, port }, () => socket.write("?"));
      socket.on("data", () => end("open")).on("error", () => end("refused"));
      close = () => socket.destroy();
    } else {
      const socket = udpFor(host);
      socket.on("message", () => end("open")).on("error", () => end("refused"));
      close = () => socket.close();
      socket.send("?", port, host, (error) => error && end("refused"));
    }
  });
}

if (import.meta.main) {
  const [verb, text = "[]"] = process.argv.slice(2);
  const places = JSON.parse(text) as Place[];
  if (verb === "listen") {
    await Promise.all(places.map(listen));
    console.log("listening");
  } else {
    console.log(JSON.stringify(await Promise.all(places.map(probe))));
  }
}
