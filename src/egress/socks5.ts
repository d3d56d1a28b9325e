/** Asking a SOCKS5 proxy for a connection: RFC 1928, with a user name and password by RFC 1929. */
import { Buffer } from "node:buffer";
import { isIP, type Socket } from "node:net";
import type { AnswerReader } from "./proxy_answer.ts";

const VERSION = 5;
const METHOD = { none: 0, password: 2, unacceptable: 255 } as const;
const ADDRESS = { ipv4: 1, name: 3, ipv6: 4 } as const;
const CONNECT = 1;

/** Replies of RFC 1928 §6. */
const REPLIES = [
  "",
  "it has failed",
  "its rules do not allow the connection",
  "the network is unreachable",
  "the host is unreachable",
  "the connection was refused",
  "the host did not answer in time",
  "it does not know CONNECT",
  "it does not know this kind of address",
];

/** Whom to connect to, and who asks. */
export interface SocksRequest {
  host: string;
  port: number;
  user?: string;
  password?: string;
}

/**
 * Leads the talk up to the proxy's consent; what comes behind it is left in `answers`. Rejects with an
 * Error that says in words why the proxy did not consent.
 */
export async function requestSocks5(
  socket: Socket,
  answers: AnswerReader,
  { host, port, user, password = "" }: SocksRequest,
): Promise<void> {
  const methods = user === undefined ? [METHOD.none] : [METHOD.none, METHOD.password];
  socket.write(Uint8Array.of(VERSION, methods.length, ...methods));
  const [version, method] = await answers.take(ofLength(2));
  if (version !== VERSION) throw new Error("its answer is not SOCKS5");
  if (method === METHOD.password && user !== undefined) {
    socket.write(Buffer.concat([Buffer.of(1), counted(user), counted(password)]));
    const [, status] = await answers.take(ofLength(2));
    if (status !== 0) throw new Error("it refuses the user name and password");
  } else if (method !== METHOD.none) {
    throw new Error(
      user === undefined ? "it wants a user name and password" : "it takes no password",
    );
  }
  socket.write(
    Buffer.concat([
      Buffer.of(VERSION, CONNECT, 0),
      address(host),
      Buffer.of(port >> 8, port & 255),
    ]),
  );
  const reply = await answers.take(replyLength);
  if (reply[1] !== 0) throw new Error(REPLIES[reply[1]!] ?? `it answers ${reply[1]}`);
}

const ofLength = (length: number) => (bytes: Buffer) => bytes.length < length ? undefined : length;

/** A refusal is told by its first two bytes; what comes behind them does not matter then. */
function replyLength(bytes: Buffer): number | undefined {
  if (bytes.length < 2) return undefined;
  if (bytes[0] !== VERSION) throw new Error("its answer is not SOCKS5");
  if (bytes[1] !== 0) return 2;
  if (bytes.length < 5) return undefined;
  const type = bytes[3];
  const length = type === ADDRESS.ipv4
    ? 4
    : type === ADDRESS.ipv6
    ? 16
    : type === ADDRESS.name
    ? 1 + bytes[4]!
    : undefined;
  if (length === undefined) throw new Error("its answer is not SOCKS5");
  return bytes.length < 6 + length ? undefined : 6 + length;
}

function address(host: string): Buffer {
  const bare = host.replace(/^\[(.*)\]$/, "$1");
  const family = isIP(bare);
  if (family === 4) return Buffer.of(ADDRESS.ipv4, ...bare.split(".").map(Number));
  if (family === 6) return Buffer.concat([Buffer.of(ADDRESS.ipv6), ipv6Bytes(bare)]);
  return Buffer.concat([Buffer.of(ADDRESS.name), counted(bare)]);
}

/** Text with its length before it, in one byte. */
function counted(text: string): Buffer {
  const bytes = Buffer.from(text, "utf8");
  if (bytes.length === 0 || bytes.length > 255) {
    throw new Error("a name or password for it must have 1 to 255 bytes");
  }
  return Buffer.concat([Buffer.of(bytes.length), bytes]);
}

/** RFC 4291 §2.2, its forms with `::` and with an IPv4 address at the end included. */
function ipv6Bytes(host: string): Buffer {
  const [plain = ""] = host.split("%");
  // The URL parser knows all spellings and gives groups of hex digits.
  const [left = "", right] = new URL(`http://[${plain}]`).hostname.slice(1, -1).split("::");
  const groups = (text: string) => text === "" ? [] : text.split(":").map((g) => parseInt(g, 16));
  const [before, after] = [groups(left), groups(right ?? "")];
  const zeros = Array.from({ length: 8 - before.length - after.length }, () => 0);
  return Buffer.from([...before, ...zeros, ...after].flatMap((group) => [group >> 8, group & 255]));
}
