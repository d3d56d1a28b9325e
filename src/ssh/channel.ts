/**
 * One SSH channel (RFC 4254 §5) as a node Duplex: `end()` sends EOF and leaves the other direction
 * open, `destroy()` sends CLOSE. Flow control is end to end: the window is opened again only for
 * bytes that the reader has taken, and a writer waits for the peer's window and for the socket.
 */
import { Buffer } from "node:buffer";
import process from "node:process";
import { Duplex } from "node:stream";
import { SallyportError } from "../errors.ts";
import { processWindows } from "./window_budget.ts";

/** The window is opened again once half of it, or this much, has been taken by the reader, bytes. */
const ADJUST_AT = 128 * 1024;
/** Largest data message that is accepted and sent, bytes (RFC 4253 §6.1 asks for 32,768). */
export const PACKET = 32 * 1024;
/** Bytes that count as taken although the reader has not read them: none, the window is all there is. */
const READ_AHEAD = 0;
/** Messages up to this size are gathered while the reader does not read, bytes. */
const SMALL = 4 * 1024;
/** What they are gathered in, bytes. */
const GATHERED = 16 * 1024;

/** Where data that came in several messages is put together for a taker, who has done with it at once. */
let whole = new Uint8Array(64 * 1024);

/** What a channel needs from its connection. */
export interface ChannelLink {
  sendData(recipient: number, data: Buffer): void;
  sendWindowAdjust(recipient: number, bytes: number): void;
  sendEof(recipient: number): void;
  sendClose(recipient: number): void;
  /** Calls the channel's `deliver` when everything that came together has been received. */
  deliverLater(channel: Channel): void;
  /** True while the socket cannot take more. */
  readonly congested: boolean;
  /** Calls the channel's `resumeWriting` once the socket can take more, in the order of asking. */
  waitForSocket(channel: Channel): void;
  /** Both sides have closed: the number can be used again. */
  release(channel: Channel): void;
}

/** The other side's half, as it was told in CHANNEL_OPEN or its confirmation. */
export interface ChannelPeer {
  id: number;
  window: number;
  packet: number;
}

/** A channel that both sides have agreed on. */
export class Channel extends Duplex {
  /** Our number for it. */
  readonly id: number;
  /** What both ends call it in their logs. */
  readonly name: string;
  readonly #link: ChannelLink;
  readonly #peer: ChannelPeer;
  /** Bytes that the other side may send ahead of the reader, and how many of these are left. */
  #window = processWindows.first();
  #localWindow = this.#window;
  #taken = 0;
  #readerFull = false;
  /** Data that has come and is not delivered yet; valid until all that came with it is received. */
  #arrived: Uint8Array[] = [];
  #taker: ((data: Uint8Array) => void) | undefined;
  #small: Buffer | undefined;
  #smallLength = 0;
  #eofReceived = false;
  #eofSent = false;
  #closeSent = false;
  #closeReceived = false;
  #waiting: { data: Buffer; done: (error?: Error | null) => void } | undefined;
  #lost: SallyportError | undefined;

  constructor(link: ChannelLink, id: number, peer: ChannelPeer, name: string) {
    super({
      allowHalfOpen: true,
      readableHighWaterMark: READ_AHEAD,
      writableHighWaterMark: PACKET,
    });
    this.#link = link;
    this.id = id;
    this.name = name;
    this.#peer = { ...peer, packet: Math.min(peer.packet, PACKET) };
  }

  /** The other side's number for it. */
  get peerId(): number {
    return this.#peer.id;
  }

  // From the connection

  /**
   * CHANNEL_DATA; the bytes are valid until `deliver`. Throws `ssh-protocol` if the peer sends more than
   * the window allows.
   */
  receiveData(data: Uint8Array): void {
    if (data.length > this.#localWindow || this.#eofReceived) {
      throw new SallyportError("ssh-protocol", `channel ${this.id}: data beyond window or EOF`);
    }
    this.#localWindow -= data.length;
    this.#taken += data.length;
    if (this.destroyed || data.length === 0) return;
    if (this.#arrived.push(data) === 1) this.#link.deliverLater(this);
  }

  /** Hands on what has come since the last time, in one piece. */
  deliver(): void {
    const arrived = this.#arrived;
    if (arrived.length === 0) return;
    this.#arrived = [];
    if (this.destroyed) return;
    if (this.#taker && this.readableFlowing && this.readableLength === 0 && !this.#small) {
      this.#taker(arrived.length === 1 ? arrived[0]! : joined(arrived));
      if (this.readableFlowing) this.#openWindow();
      else this.#readerFull = true;
      return;
    }
    const data = Buffer.concat(arrived);
    if (this.#readerFull && data.length <= SMALL) return this.#gather(data);
    this.#pushGathered();
    if (this.push(data)) this.#openWindow();
    else this.#readerFull = true;
  }

  /**
   * From now on `take` is given what comes while the channel flows and nothing waits in it, instead of a
   * "data" event and without a copy: the bytes are valid only until it returns.
   */
  takeDirectly(take: (data: Uint8Array) => void): void {
    this.#taker = take;
  }

  /** CHANNEL_WINDOW_ADJUST. */
  receiveWindowAdjust(bytes: number): void {
    this.#peer.window = Math.min(this.#peer.window + bytes, 0xffff_ffff);
    this.resumeWriting();
  }

  /** CHANNEL_EOF. */
  receiveEof(): void {
    if (this.#eofReceived) return;
    this.deliver();
    this.#eofReceived = true;
    if (!this.destroyed) {
      this.#pushGathered();
      this.push(null);
    }
    this.#closeIfDone();
  }

  /**
   * CHANNEL_CLOSE: nothing more comes, and nothing that we send would arrive. What has come is still
   * read to its end; a write that waits fails only then, since a failed write ends the reader too.
   */
  receiveClose(): void {
    if (this.#closeReceived) return;
    this.#closeReceived = true;
    this.receiveEof();
    this.#sendClose();
    this.#link.release(this);
    if (this.readableEnded || this.destroyed) this.destroy();
    else this.once("end", () => this.destroy());
  }

  /**
   * The session is gone. What has come is still read, then the reader meets `error`; not if both
   * sides had said everything.
   */
  lose(error: SallyportError): void {
    this.deliver();
    const complete = this.#eofReceived && this.#eofSent;
    this.#closeSent = true;
    this.#closeReceived = true;
    if (this.destroyed) return;
    this.#pushGathered();
    if (this.#eofReceived && !this.readableEnded) {
      this.once("end", () => this.destroy(complete ? undefined : error));
    } else if (this.readableLength > 0) {
      this.#lost = error;
    } else {
      this.destroy(complete ? undefined : error);
    }
  }

  /** The socket is free again, or the peer's window is open: goes on with what waits. */
  resumeWriting(): void {
    const waiting = this.#waiting;
    if (!waiting) return;
    this.#waiting = undefined;
    this.#sendAll(waiting.data, waiting.done);
  }

  // Duplex

  override read(size?: number): Buffer | null {
    const chunk = super.read(size) as Buffer | null;
    if (this.#lost && this.readableLength === 0) {
      const error = this.#lost;
      this.#lost = undefined;
      process.nextTick(() => this.destroy(error));
    }
    return chunk;
  }

  /** A stream whose data was taken directly has not been read since, and node would not ask again. */
  override resume(): this {
    super.resume();
    if (this.#taker && this.readableLength === 0) this._read();
    return this;
  }

  override _read(): void {
    if (!this.#readerFull) return;
    this.#readerFull = false;
    this.#pushGathered();
    this.#openWindow();
  }

  override _write(
    data: Buffer,
    _encoding: string,
    done: (error?: Error | null) => void,
  ): void {
    this.#sendAll(data, done);
  }

  override _final(done: (error?: Error | null) => void): void {
    if (!this.#eofSent && !this.#closeSent) {
      this.#eofSent = true;
      this.#link.sendEof(this.#peer.id);
    }
    this.#closeIfDone();
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#small = undefined;
    this.#arrived = [];
    processWindows.giveBack(this.#window);
    this.#window = 0;
    this.#sendClose();
    this.#failWaiting();
    done(error);
  }

  #sendAll(data: Buffer, done: (error?: Error | null) => void): void {
    let at = 0;
    while (at < data.length) {
      const closed = this.#closeSent || this.#closeReceived;
      if (closed || this.#peer.window === 0 || this.#link.congested) {
        this.#waiting = { data: data.subarray(at), done };
        if (!closed && this.#peer.window > 0) this.#link.waitForSocket(this);
        return;
      }
      const size = Math.min(data.length - at, this.#peer.window, this.#peer.packet);
      this.#peer.window -= size;
      this.#link.sendData(this.#peer.id, data.subarray(at, at + size));
      at += size;
    }
    done();
  }

  /**
   * A window full of one-byte messages, each a buffer of its own, would take a hundred times the
   * window in memory while the reader does not read.
   */
  #gather(data: Uint8Array): void {
    if (this.#smallLength + data.length > GATHERED) this.#pushGathered();
    this.#small ??= Buffer.allocUnsafe(GATHERED);
    this.#small.set(data, this.#smallLength);
    this.#smallLength += data.length;
  }

  #pushGathered(): void {
    const small = this.#small;
    if (!small) return;
    const length = this.#smallLength;
    this.#small = undefined;
    this.#smallLength = 0;
    if (!this.push(small.subarray(0, length))) this.#readerFull = true;
  }

  #openWindow(): void {
    const least = Math.min(this.#window >> 1, ADJUST_AT);
    if (this.#taken < least || this.#closeSent || this.#eofReceived) return;
    const change = processWindows.change(this.#window, this.#taken);
    const opened = this.#taken + change;
    this.#window += change;
    this.#localWindow += opened;
    this.#taken = 0;
    if (opened > 0) this.#link.sendWindowAdjust(this.#peer.id, opened);
  }

  #closeIfDone(): void {
    if (this.#eofSent && this.#eofReceived) this.#sendClose();
  }

  #sendClose(): void {
    if (this.#closeSent) return;
    this.#closeSent = true;
    this.#link.sendClose(this.#peer.id);
  }

  #failWaiting(): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.done(closedError());
  }
}

function joined(parts: Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  if (length > whole.length) whole = new Uint8Array(2 * length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole.subarray(0, length);
}

function closedError(): SallyportError {
  return new SallyportError("ssh-channel", "the other side has closed the channel");
}
