/**
 * What a peer says of itself before there are keys: its identification line (RFC 4253 §4.2) and its
 * first KEXINIT (§7.1), read from the bytes that come first. They are plain text, and the exchange hash
 * proves afterwards that nobody has changed them.
 */
import { Buffer } from "node:buffer";
import { SallyportError } from "../errors.ts";
import { WireReader } from "./wire.ts";

const KEXINIT = 20;
const COOKIE = 16;
/** DISCONNECT is the end; IGNORE, UNIMPLEMENTED and DEBUG may stand before a KEXINIT. */
const MAY_PRECEDE = [2, 3, 4];
/** Lines before the identification, the line, and the first packets: bytes that are looked at. */
export const LARGEST_OPENING = 64 * 1024;
const FIRST_SIZE = 2048;
/** Of an identification line, with its end (RFC 4253 §4.2), bytes. */
export const LONGEST_IDENT = 255;
const BEGINNING = "SSH-";

/** A peer's first KEXINIT; `cs` is client to server, `sc` back. */
export interface PeerOffer {
  /** Its identification line, printable ASCII only. */
  ident: string;
  kex: string[];
  serverHostKey: string[];
  cipher: { cs: string[]; sc: string[] };
  mac: { cs: string[]; sc: string[] };
  compression: { cs: string[]; sc: string[] };
  /** True if it exchanges keys strictly (OpenSSH, PROTOCOL §1.10). */
  strict: boolean;
}

/** Gathers the first bytes of a connection until they hold the peer's offer. */
export class Opening {
  readonly #peer: "client" | "server";
  readonly #marker: string;
  #bytes = Buffer.alloc(FIRST_SIZE);
  #length = 0;
  /** Where the identification line begins, and the packet that is looked at; undefined while unknown. */
  #line = 0;
  /** Up to here no end of the line was found. */
  #searched = 0;
  #packet: number | undefined;
  #ident = "";

  /** @param peer what the other side is */
  constructor(peer: "client" | "server") {
    this.#peer = peer;
    this.#marker = `kex-strict-${peer[0]}-v00@openssh.com`;
  }

  /** True once the identification line is whole. */
  get identified(): boolean {
    return this.#packet !== undefined;
  }

  /** All bytes so far. */
  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  /**
   * Takes more bytes. Gives the offer once it is whole, "none" if what stands in its place is something
   * else, undefined while more must come. Throws `ssh-protocol` if it is malformed or endless.
   */
  add(data: Uint8Array): PeerOffer | "none" | undefined {
    const length = this.#length + data.length;
    // What comes in one piece behind the offer is looked at by somebody else.
    if (this.#length > LARGEST_OPENING) {
      throw new SallyportError(
        "ssh-protocol",
        `no key exchange within the first ${LARGEST_OPENING} bytes`,
      );
    }
    if (length > this.#bytes.length) {
      const larger = Buffer.alloc(Math.max(length, 2 * this.#bytes.length));
      larger.set(this.bytes);
      this.#bytes = larger;
    }
    this.#bytes.set(data, this.#length);
    this.#length = length;
    if (this.#packet === undefined && this.#peer === "client") this.#checkClient();
    if (this.#packet === undefined) this.#findLine();
    return this.#packet === undefined ? undefined : this.#readPackets();
  }

  /** A client says nothing before its line, so whatever else speaks to this port can be told at once. */
  #checkClient(): void {
    const { bytes } = this;
    const begin = bytes.toString("latin1", 0, BEGINNING.length);
    if (!BEGINNING.startsWith(begin)) {
      throw new SallyportError("ssh-protocol", "it does not speak SSH");
    }
    const end = bytes.indexOf(0x0a);
    if ((end === -1 ? bytes.length : end + 1) > LONGEST_IDENT) {
      const text = `its identification line is longer than ${LONGEST_IDENT} bytes`;
      throw new SallyportError("ssh-protocol", text);
    }
  }

  #findLine(): void {
    const { bytes } = this;
    for (;;) {
      const end = bytes.indexOf(0x0a, this.#searched);
      this.#searched = end === -1 ? bytes.length : end + 1;
      if (end === -1) return;
      const line = bytes.toString("latin1", this.#line, end);
      this.#line = end + 1;
      if (!line.startsWith(BEGINNING)) continue;
      this.#ident = line.trimEnd().replace(/[^\x20-\x7e]/g, "?").slice(0, 255);
      this.#packet = this.#line;
      return;
    }
  }

  #readPackets(): PeerOffer | "none" | undefined {
    const { bytes } = this;
    for (;;) {
      const at = this.#packet!;
      if (bytes.length - at < 6) return undefined;
      const end = at + 4 + bytes.readUInt32BE(at);
      if (end - at > LARGEST_OPENING) return "none";
      const type = bytes[at + 5]!;
      if (type !== KEXINIT && !MAY_PRECEDE.includes(type)) return "none";
      if (bytes.length < end) return undefined;
      const padding = bytes[at + 4]!;
      if (type === KEXINIT) return this.#readOffer(bytes.subarray(at + 5, end - padding));
      this.#packet = end;
    }
  }

  #readOffer(payload: Buffer): PeerOffer {
    const reader = new WireReader(payload, "KEXINIT", 1 + COOKIE);
    const list = (field: string) => reader.text(field).split(",").filter((name) => name !== "");
    const both = (field: string) => ({ cs: list(field), sc: list(field) });
    const kex = list("key exchange");
    return {
      ident: this.#ident,
      kex,
      serverHostKey: list("host key"),
      cipher: both("cipher"),
      mac: both("MAC"),
      compression: both("compression"),
      strict: kex.includes(this.#marker),
    };
  }
}
