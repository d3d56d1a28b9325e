/**
 * Somebody between an SSH client and its server, who reads and changes what is not encrypted yet, and can
 * cut out what is.
 */
import { Buffer } from "node:buffer";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { string, uint32, WireReader } from "../../src/ssh/wire.ts";

export type Way = "toServer" | "toClient";
/** Gives the payloads that go on in the place of one. */
export type Change = (payload: Buffer) => Buffer[];

export const NUMBER = {
  disconnect: 1,
  ignore: 2,
  unimplemented: 3,
  debug: 4,
  kexinit: 20,
} as const;
const NEWKEYS = 21;

/** What is done on the way. */
export interface Meddling {
  /** @default 127.0.0.1 */
  host?: string;
  /** @default nothing is changed */
  change?: Partial<Record<Way, Change>>;
  /** In the place of an identification line. */
  ident?: Partial<Record<Way, string>>;
  /** Payloads in front of the first one. */
  before?: Partial<Record<Way, Buffer[]>>;
  /** Cut out what one side says first under its keys, before the other has said anything under its own. */
  cut?: Way;
}

export interface Meddler extends AsyncDisposable {
  port: number;
  /** Bytes that were cut out. */
  readonly cutOut: number;
}

/** A message that means nothing, for each number that may stand anywhere. */
export function meaningless(number: number): Buffer {
  switch (number) {
    case NUMBER.unimplemented:
      return Buffer.concat([Buffer.of(number), uint32(0)]);
    case NUMBER.debug:
      return Buffer.concat([Buffer.of(number, 0), string("x"), string("")]);
    default:
      return Buffer.concat([Buffer.of(number), string("x")]);
  }
}

/** Puts payloads before the one with a number. */
export function inFrontOf(number: number, ...payloads: Buffer[]): Change {
  return (payload) => payload[0] === number ? [...payloads, payload] : [payload];
}

/** Changes the names in one list of a KEXINIT (0: key exchange, 1: host key, 2 and 3: ciphers, …). */
export function withList(list: number, change: (names: string[]) => string[]): Change {
  return (payload) => {
    if (payload[0] !== NUMBER.kexinit) return [payload];
    const reader = new WireReader(payload, "KEXINIT", 17);
    const lists = Array.from({ length: 10 }, () => reader.text("list"));
    lists[list] = change(lists[list]!.split(",")).join(",");
    return [Buffer.concat([payload.subarray(0, 17), ...lists.map(string), reader.rest()])];
  };
}

/** Takes the promise of a strict key exchange out of a KEXINIT. */
export const withoutPromise: Change = withList(
  0,
  (names) => names.filter((name) => !name.startsWith("kex-strict-")),
);

/** An unencrypted packet (RFC 4253 §6). */
export function packet(payload: Uint8Array): Buffer {
  const padding = 4 + (8 - (5 + payload.length + 4) % 8) % 8;
  const length = 1 + payload.length + padding;
  return Buffer.concat([uint32(length), Buffer.of(padding), payload, Buffer.alloc(padding)]);
}

/** Splits what goes one way: the line, plain packets, and after NEWKEYS what cannot be read. */
class Reader {
  #state: "line" | "packets" | "sealed" = "line";
  #bytes: Buffer = Buffer.alloc(0);

  constructor(
    readonly send: (bytes: Buffer) => void,
    readonly change: Change,
    readonly before: Buffer[],
    readonly ident: string | undefined,
    readonly onSealed: (bytes: Buffer) => void,
  ) {}

  read(data: Buffer): void {
    if (this.#state === "sealed") return this.onSealed(data);
    this.#bytes = Buffer.concat([this.#bytes, data]);
    if (this.#state === "line") {
      const end = this.#bytes.indexOf(0x0a) + 1;
      if (end === 0) return;
      const line = this.#take(end);
      this.send(this.ident === undefined ? line : Buffer.from(this.ident));
      this.#state = "packets";
      for (const payload of this.before) this.send(packet(payload));
    }
    while (this.#bytes.length >= 5) {
      const length = 4 + this.#bytes.readUInt32BE();
      if (this.#bytes.length < length) return;
      const whole = this.#take(length);
      const payload = whole.subarray(5, length - whole[4]!);
      for (const part of this.change(payload)) this.send(packet(part));
      if (payload[0] !== NEWKEYS) continue;
      this.#state = "sealed";
      if (this.#bytes.length > 0) this.onSealed(this.#take(this.#bytes.length));
      return;
    }
  }

  #take(length: number): Buffer {
    const taken = this.#bytes.subarray(0, length);
    this.#bytes = this.#bytes.subarray(length);
    return taken;
  }
}

/** Listens, and meddles with every connection to `target`. */
export async function meddler(
  target: { host?: string; port: number },
  { host = "127.0.0.1", change = {}, ident = {}, before = {}, cut }: Meddling,
): Promise<Meddler> {
  const sockets = new Set<Socket>();
  let cutOut = 0;
  const server = createServer({ noDelay: true }, (near) => {
    const far = connect({ host: "127.0.0.1", ...target, noDelay: true });
    const kept: Buffer[] = [];
    const ends = { toServer: far, toClient: near };
    for (const [way, from] of [["toServer", near], ["toClient", far]] as const) {
      const to = ends[way];
      sockets.add(from);
      const reader = new Reader(
        (bytes) => void to.write(bytes),
        change[way] ?? ((payload) => [payload]),
        before[way] ?? [],
        ident[way],
        (bytes) => {
          if (cut === undefined || kept[0] === undefined && cutOut > 0) return void to.write(bytes);
          if (cut !== way) return cutOut > 0 ? void to.write(bytes) : void kept.push(bytes);
          cutOut += bytes.length;
          for (const other of kept.splice(0)) from.write(other);
        },
      );
      from.on("data", (data: Buffer) => reader.read(data));
      from.on("error", () => to.destroy());
      from.on("close", () => {
        sockets.delete(from);
        to.destroySoon();
      });
    }
  });
  server.listen(0, host);
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    get cutOut() {
      return cutOut;
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}
