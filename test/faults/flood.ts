/**
 * Strangers who hammer a port, as a program: `flood.ts <json of Flood>`. So many connections at once,
 * and for each that the server closes another one. Prints "flood begun" when each has been tried once,
 * and then a line of JSON (`Tally`) every second.
 */
import { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import process from "node:process";
import { connect as connectTls } from "node:tls";
import { ALGORITHMS } from "../../src/ssh/algorithms.ts";
import { byte, string } from "../../src/ssh/wire.ts";
import { packet } from "../ssh/meddler.ts";

/**
 * silent: says nothing. garbage: a KiB of random bytes. half: the first half of a handshake. slow: the
 * same, a byte a second. keys: a key exchange up to the server's signature, and away (SSH). costly: the
 * same in the largest finite field.
 */
export const LOADS = ["silent", "garbage", "half", "slow", "keys", "costly"] as const;
export type Load = (typeof LOADS)[number];

export interface Flood {
  protocol: "ssh" | "tls";
  host: string;
  port: number;
  /** What the connections do, in turn. */
  loads: Load[];
  /** Connections at once. */
  count: number;
  /** Addresses that they come from, in turn. */
  from: string[];
  /** Time until the next connection in the place of one that was closed, ms. */
  again: number;
}

/** So far. */
export interface Tally {
  opened: number;
  closed: number;
  open: number;
}

const KEXDH_INIT = 30;
/** So many connections are begun in one turn of the event loop, lest they wait for each other. */
const AT_A_TIME = 100;
/** Bytes of a public value in group 18, whose first are less than the prime's. */
const GROUP_18 = 1024;

function sshOpening(kex: string[]): Buffer {
  const keys = ["ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-256"];
  const lists = [
    [...kex, "kex-strict-c-v00@openssh.com"],
    [...keys.map((name) => `${name}-cert-v01@openssh.com`), ...keys],
    ...[ALGORITHMS.cipher, ALGORITHMS.cipher, ALGORITHMS.mac, ALGORITHMS.mac],
    ...[["none"], ["none"], [], []],
  ];
  return Buffer.concat([
    Buffer.from("SSH-2.0-flood\r\n"),
    packet(Buffer.concat([
      byte(20),
      randomBytes(16),
      ...lists.map((names) => string(names.join(","))),
      Buffer.alloc(5),
    ])),
  ]);
}

/** The whole ClientHello of a TLS client. */
async function clientHello(): Promise<Buffer> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const came = once(server, "connection");
  const { port } = server.address() as AddressInfo;
  const client = connectTls({ host: "127.0.0.1", port, servername: "localhost" });
  client.on("error", () => {});
  const [socket] = await came as [Socket];
  const [hello] = await once(socket, "data") as [Buffer];
  client.destroy();
  socket.destroy();
  server.close();
  return hello;
}

/** What a stranger says first. */
export async function opening(protocol: Flood["protocol"], load: Load): Promise<Buffer> {
  if (load === "silent") return Buffer.alloc(0);
  if (load === "garbage") return randomBytes(1024);
  if (protocol === "tls") return await clientHello();
  if (load === "keys") {
    const init = packet(Buffer.concat([byte(KEXDH_INIT), string(randomBytes(32))]));
    return Buffer.concat([sshOpening(["curve25519-sha256"]), init]);
  }
  if (load === "costly") {
    const value = Buffer.concat([Buffer.of(0x7f), randomBytes(GROUP_18 - 1)]);
    const init = packet(Buffer.concat([byte(KEXDH_INIT), string(value)]));
    return Buffer.concat([sshOpening(["diffie-hellman-group18-sha512"]), init]);
  }
  return sshOpening(["curve25519-sha256"]);
}

async function flood({ protocol, host, port, loads, count, from, again }: Flood): Promise<void> {
  const openings = await Promise.all(loads.map((load) => opening(protocol, load)));
  const tally: Tally = { opened: 0, closed: 0, open: 0 };
  /** What they have not said yet. */
  const slow = new Map<Socket, Buffer>();
  const begin = (number: number) => {
    const load = loads[number % loads.length]!;
    const words = openings[number % loads.length]!;
    const socket = connect({ host, port, localAddress: from[number % from.length], noDelay: true });
    let open = false;
    socket.on("error", () => {});
    socket.on("connect", () => {
      open = true;
      tally.opened++;
      tally.open++;
      if (load === "slow") slow.set(socket, words);
      else if (words.length > 0) socket.write(words);
    });
    if (load === "keys" || load === "costly") {
      let size = 0;
      // Identification, KEXINIT and the reply with its signature: the server has done its work.
      socket.on("data", (data) => (size += data.length) > 1500 && socket.destroy());
    } else socket.resume();
    socket.on("close", () => {
      slow.delete(socket);
      if (open) {
        tally.closed++;
        tally.open--;
      }
      setTimeout(() => begin(number), again * (0.5 + Math.random()));
    });
  };
  for (let number = 0; number < count; number++) {
    begin(number);
    if (number % AT_A_TIME === AT_A_TIME - 1) await new Promise((resolve) => setTimeout(resolve));
  }
  console.log("flood begun");
  setInterval(() => {
    for (const [socket, words] of slow) {
      if (words.length === 0) continue;
      socket.write(words.subarray(0, 1));
      slow.set(socket, words.subarray(1));
    }
    console.log(JSON.stringify(tally));
  }, 1000);
}

if (import.meta.main) await flood(JSON.parse(process.argv[2]!) as Flood);
