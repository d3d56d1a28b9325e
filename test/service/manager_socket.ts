/** What systemd is to a service: a datagram socket, and messages of assignments. */
import { join } from "node:path";
import { temporaryFolder } from "../temporary.ts";

export class ManagerSocket implements AsyncDisposable {
  /** Every assignment so far, in its order. */
  readonly assignments: string[] = [];
  readonly #socket: Deno.DatagramConn;
  readonly #watchers = new Set<() => void>();
  readonly #reading: Promise<void>;
  readonly #remove: () => Promise<void>;

  private constructor(
    /** For NOTIFY_SOCKET. */
    readonly name: string,
    remove: () => Promise<void>,
  ) {
    const path = name.replace(/^@/, "\0");
    this.#socket = Deno.listenDatagram({ transport: "unixpacket", path });
    this.#remove = remove;
    this.#reading = this.#read();
  }

  /** @param abstract a name that is no file */
  static async open(abstract = false): Promise<ManagerSocket> {
    const folder = await temporaryFolder();
    const name = abstract ? `@sallyport-test-${crypto.randomUUID()}` : join(folder.path, "notify");
    return new ManagerSocket(name, () => folder[Symbol.asyncDispose]());
  }

  /** Resolves once `count` assignments that fit have come. Rejects if they do not within 20 s. */
  async of(fits: RegExp, count = 1): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const late = setTimeout(() => {
        this.#watchers.delete(look);
        reject(new Error(`not ${count} times ${fits}; there are:\n${this.assignments.join("\n")}`));
      }, 20_000);
      const look = () => {
        if (this.assignments.filter((text) => fits.test(text)).length < count) return;
        clearTimeout(late);
        this.#watchers.delete(look);
        resolve();
      };
      this.#watchers.add(look);
      look();
    });
  }

  async #read(): Promise<void> {
    for (;;) {
      const [datagram] = await this.#socket.receive();
      if (datagram.length === 0) return;
      this.assignments.push(...new TextDecoder().decode(datagram).split("\n"));
      for (const look of [...this.#watchers]) look();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // A receive that is under way is not ended by closing, and keeps its socket from sending.
    const path = this.name.replace(/^@/, "\0");
    const last = Deno.listenDatagram({ transport: "unixpacket", path: `\0${crypto.randomUUID()}` });
    await last.send(new Uint8Array(0), { transport: "unixpacket", path });
    last.close();
    await this.#reading;
    this.#socket.close();
    await this.#remove();
  }
}
