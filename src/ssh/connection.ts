/**
 * The connection protocol (RFC 4254) of one authenticated session: channels, window and socket
 * backpressure, keepalive. Which side may open channels is the owner's decision (`onOpen`).
 */
import { Buffer } from "node:buffer";
import { SallyportError } from "../errors.ts";
import { Channel, type ChannelLink, type ChannelPeer, PACKET } from "./channel.ts";
import { MESSAGE, OPEN_FAILURE } from "./message.ts";
import { readable } from "./readable.ts";
import { FIRST_WINDOW } from "./window_budget.ts";
import { byte, string, uint32, WireReader } from "./wire.ts";

/** The channel type of the wire; it carries no data of its own (protocol.md). */
export const CHANNEL_TYPE = "direct-tcpip";

/** Channels that one connection may have, unless told otherwise. */
export const DEFAULT_MAX_CHANNELS = 2048;

/** How many channels there may be; a function is told how many there are. */
export type ChannelLimit = number | ((open: number) => number);

/** What a connection is given to work with. */
export interface ConnectionOptions {
  /** Sends one message, in parts. */
  send(...parts: Uint8Array[]): void;
  /** True while the socket's buffer is full. */
  congested(): boolean;
  /** Takes a channel that the other side opens; without it every one is refused. */
  onOpen?(channel: Channel): void;
  /** @default 2048 */
  maxChannels?: ChannelLimit;
  /** What the names of its channels begin with; the same at both ends. @default "" */
  name?(): string;
}

interface PendingOpen {
  name: string;
  resolve(channel: Channel): void;
  reject(error: SallyportError): void;
}

interface Ping {
  answered(): void;
  failed(error: SallyportError): void;
}

/** Everything above authentication for one session. */
export class Connection implements ChannelLink {
  readonly #options: ConnectionOptions;
  readonly #channels = new Map<number, Channel>();
  readonly #opening = new Map<number, PendingOpen>();
  readonly #pings: Ping[] = [];
  /** Channels that wait for the socket, the longest waiting first. */
  readonly #waiting = new Set<Channel>();
  /** Channels that have received data since the last delivery. */
  #arrivals: Channel[] = [];
  #nextId = 0;
  /** Channels that were asked for: CHANNEL_OPENs arrive in the order in which they were sent. */
  #asked = 0;
  #ended: SallyportError | undefined;

  constructor(options: ConnectionOptions) {
    this.#options = options;
  }

  /** Channels that are open now. */
  get channels(): number {
    return this.#channels.size;
  }

  get congested(): boolean {
    return this.#options.congested();
  }

  /**
   * Opens a channel toward the other side. Rejects if it is refused, aborted or the session ends, with
   * `channel-limit` if too many are open or asked for already.
   */
  open(signal?: AbortSignal): Promise<Channel> {
    return new Promise((resolve, reject) => {
      if (this.#ended) return reject(this.#ended);
      signal?.throwIfAborted();
      const open = this.#channels.size + this.#opening.size;
      if (open >= this.#mostChannels(open)) {
        throw new SallyportError("channel-limit", `${open} channels are open`);
      }
      const id = this.#freeId();
      const abandon = () => {
        pending.reject(new SallyportError("timeout", "the other side did not answer CHANNEL_OPEN"));
      };
      const pending: PendingOpen = {
        name: this.#nextName(),
        resolve: (channel) => {
          signal?.removeEventListener("abort", abandon);
          // Opened after all, but nobody waits any more: close it.
          if (signal?.aborted) channel.destroy();
          resolve(channel);
        },
        reject: (error) => {
          signal?.removeEventListener("abort", abandon);
          reject(error);
        },
      };
      this.#opening.set(id, pending);
      signal?.addEventListener("abort", abandon, { once: true });
      this.#options.send(
        byte(MESSAGE.channelOpen),
        string(CHANNEL_TYPE),
        uint32(id),
        uint32(FIRST_WINDOW),
        uint32(PACKET),
      );
    });
  }

  /** Asks the other side for a sign of life; `failed` is called if the session ends before. */
  ping(answered: () => void, failed: (error: SallyportError) => void = () => {}): void {
    if (this.#ended) return failed(this.#ended);
    this.#pings.push({ answered, failed });
    this.#options.send(byte(MESSAGE.globalRequest), string("keepalive@openssh.com"), byte(1));
  }

  /** The socket can take more again: channels go on in turn, so that none starves the others. */
  drained(): void {
    while (!this.congested) {
      const [channel] = this.#waiting;
      if (!channel) return;
      this.#waiting.delete(channel);
      channel.resumeWriting();
    }
  }

  /** The session is over: every channel ends with `error` after what it has received. */
  end(error: SallyportError): void {
    if (this.#ended) return;
    this.#ended = error;
    for (const pending of this.#opening.values()) pending.reject(error);
    this.#opening.clear();
    for (const channel of this.#channels.values()) channel.lose(error);
    this.#channels.clear();
    this.#waiting.clear();
    for (const ping of this.#pings.splice(0)) ping.failed(error);
  }

  /** Everything that came together has been received: channels hand on what they got. */
  deliver(): void {
    const arrivals = this.#arrivals;
    if (arrivals.length === 0) return;
    this.#arrivals = [];
    for (const channel of arrivals) channel.deliver();
  }

  /** Handles one message, whose bytes are valid until `deliver`. Throws `ssh-protocol` if it breaks the protocol. */
  receive(payload: Buffer): void {
    const type = payload[0]!;
    if (type === MESSAGE.channelData) return this.#onData(payload);
    const reader = new WireReader(payload, `SSH message ${type}`, 1);
    switch (type) {
      case MESSAGE.channelWindowAdjust:
        return this.#channel(reader).receiveWindowAdjust(reader.uint32("bytes"));
      case MESSAGE.channelEof:
        return this.#channel(reader).receiveEof();
      case MESSAGE.channelClose:
        return this.#channel(reader).receiveClose();
      case MESSAGE.channelRequest:
        return this.#onChannelRequest(reader);
      case MESSAGE.channelOpen:
        return this.#onOpen(reader);
      case MESSAGE.channelOpenConfirmation:
        return this.#onOpenConfirmation(reader);
      case MESSAGE.channelOpenFailure:
        return this.#onOpenFailure(reader);
      case MESSAGE.globalRequest:
        return this.#onGlobalRequest(reader);
      case MESSAGE.requestSuccess:
      case MESSAGE.requestFailure:
        // To keepalive@openssh.com either answer is a sign of life.
        this.#pings.shift()?.answered();
        return;
      case MESSAGE.channelSuccess:
      case MESSAGE.channelFailure:
        return;
      default:
        throw new SallyportError("ssh-protocol", `unexpected SSH message ${type}`);
    }
  }

  // ChannelLink

  sendData(recipient: number, data: Buffer): void {
    const head = Buffer.allocUnsafe(9);
    head[0] = MESSAGE.channelData;
    head.writeUInt32BE(recipient, 1);
    head.writeUInt32BE(data.length, 5);
    this.#send(head, data);
  }

  sendWindowAdjust(recipient: number, bytes: number): void {
    this.#send(byte(MESSAGE.channelWindowAdjust), uint32(recipient), uint32(bytes));
  }

  sendEof(recipient: number): void {
    this.#send(byte(MESSAGE.channelEof), uint32(recipient));
  }

  sendClose(recipient: number): void {
    this.#send(byte(MESSAGE.channelClose), uint32(recipient));
  }

  deliverLater(channel: Channel): void {
    this.#arrivals.push(channel);
  }

  waitForSocket(channel: Channel): void {
    this.#waiting.add(channel);
  }

  release(channel: Channel): void {
    this.#channels.delete(channel.id);
    this.#waiting.delete(channel);
  }

  #mostChannels(open: number): number {
    const { maxChannels = DEFAULT_MAX_CHANNELS } = this.#options;
    return typeof maxChannels === "number" ? maxChannels : maxChannels(open);
  }

  #send(...parts: Uint8Array[]): void {
    if (!this.#ended) this.#options.send(...parts);
  }

  #onData(payload: Buffer): void {
    const reader = new WireReader(payload, "CHANNEL_DATA", 1);
    const channel = this.#channel(reader);
    const data = reader.bytes("data");
    channel.receiveData(data);
  }

  #onChannelRequest(reader: WireReader): void {
    const channel = this.#channel(reader);
    reader.text("request");
    if (reader.boolean("want reply")) {
      this.#send(byte(MESSAGE.channelFailure), uint32(channel.peerId));
    }
  }

  #onGlobalRequest(reader: WireReader): void {
    reader.text("request");
    if (reader.boolean("want reply")) this.#send(byte(MESSAGE.requestFailure));
  }

  #onOpen(reader: WireReader): void {
    const name = this.#nextName();
    const type = reader.text("channel type");
    const peer = {
      id: reader.uint32("sender"),
      window: reader.uint32("window"),
      packet: reader.uint32("packet size"),
    };
    const { onOpen } = this.#options;
    if (!onOpen) return this.#refuse(peer.id, OPEN_FAILURE.prohibited, "channels are not accepted");
    if (type !== CHANNEL_TYPE) {
      return this.#refuse(peer.id, OPEN_FAILURE.unknownType, `only ${CHANNEL_TYPE} is served`);
    }
    const open = this.#channels.size;
    if (open >= this.#mostChannels(open)) {
      return this.#refuse(peer.id, OPEN_FAILURE.resourceShortage, `${open} channels are open`);
    }
    if (peer.packet === 0) throw new SallyportError("ssh-protocol", "channel with packet size 0");
    const channel = this.#add(this.#freeId(), peer, name);
    this.#send(
      byte(MESSAGE.channelOpenConfirmation),
      uint32(peer.id),
      uint32(channel.id),
      uint32(FIRST_WINDOW),
      uint32(PACKET),
    );
    onOpen(channel);
  }

  #refuse(recipient: number, reason: number, text: string): void {
    this.#send(
      byte(MESSAGE.channelOpenFailure),
      uint32(recipient),
      uint32(reason),
      string(text),
      string(""),
    );
  }

  #onOpenConfirmation(reader: WireReader): void {
    const id = reader.uint32("recipient");
    const pending = this.#takeOpening(id);
    const peer = {
      id: reader.uint32("sender"),
      window: reader.uint32("window"),
      packet: reader.uint32("packet size"),
    };
    if (peer.packet === 0) throw new SallyportError("ssh-protocol", "channel with packet size 0");
    pending.resolve(this.#add(id, peer, pending.name));
  }

  #onOpenFailure(reader: WireReader): void {
    const pending = this.#takeOpening(reader.uint32("recipient"));
    const reason = reader.uint32("reason");
    const text = reader.text("description");
    const message = `the other side refuses a channel (${reason}): ${text}`;
    pending.reject(readable(new SallyportError("ssh-channel", message)));
  }

  #takeOpening(id: number): PendingOpen {
    const pending = this.#opening.get(id);
    if (!pending) {
      throw new SallyportError("ssh-protocol", `answer for channel ${id}, not asked for`);
    }
    this.#opening.delete(id);
    return pending;
  }

  #add(id: number, peer: ChannelPeer, name: string): Channel {
    const channel = new Channel(this, id, peer, name);
    // A channel may be cut off before its owner listens; that is no reason to crash.
    channel.on("error", () => {});
    this.#channels.set(id, channel);
    return channel;
  }

  /** A channel stays known until both sides have closed it, so an unknown number is a breach. */
  #channel(reader: WireReader): Channel {
    const id = reader.uint32("channel");
    const channel = this.#channels.get(id);
    if (!channel) throw new SallyportError("ssh-protocol", `message for channel ${id}, not open`);
    return channel;
  }

  #nextName(): string {
    const { name } = this.#options;
    return `${name ? `${name()}-` : ""}${++this.#asked}`;
  }

  #freeId(): number {
    while (this.#channels.has(this.#nextId) || this.#opening.has(this.#nextId)) {
      this.#nextId = (this.#nextId + 1) >>> 0;
    }
    const id = this.#nextId;
    this.#nextId = (id + 1) >>> 0;
    return id;
  }
}
