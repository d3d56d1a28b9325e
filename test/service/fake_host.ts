/** A machine to install on: a folder as its root, and programs that only note that they were run. */
import { lstat, mkdir, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { ManagerName, Scope, Service } from "../../src/service/description.ts";
import type { Host } from "../../src/service/install.ts";
import { type TemporaryFolder, temporaryFolder } from "../temporary.ts";

export class FakeHost implements Host, AsyncDisposable {
  /** Command lines, in their order. */
  readonly commands: string[] = [];
  /** This user's crontab; undefined if there is none. */
  table: string | undefined;
  /** Which command fails. */
  fails: (command: string) => boolean = () => false;
  readonly #folder: TemporaryFolder;

  private constructor(folder: TemporaryFolder) {
    this.#folder = folder;
  }

  static async create(...folders: string[]): Promise<FakeHost> {
    const host = new FakeHost(await temporaryFolder());
    for (const path of folders) await mkdir(join(host.root, path), { recursive: true });
    return host;
  }

  get root(): string {
    return this.#folder.path;
  }

  run = (words: readonly string[], input?: string) => {
    const command = words.join(" ");
    const reading = words[0] === "crontab" && words.at(-1) === "-l";
    if (!reading) this.commands.push(command);
    if (this.fails(command)) return Promise.resolve({ status: 1, out: "", err: "it failed" });
    if (words[0] === "id") return Promise.resolve({ status: 0, out: "12345\n", err: "" });
    if (reading && this.table === undefined) {
      return Promise.resolve({ status: 1, out: "", err: "no crontab for ada\n" });
    }
    if (words[0] === "crontab" && words.at(-1) === "-") this.table = input;
    if (words[0] === "crontab" && words.at(-1) === "-r") this.table = undefined;
    return Promise.resolve({ status: 0, out: reading ? this.table! : "", err: "" });
  };

  /** Everything below the root: path, mode, owner and text. */
  async tree(): Promise<Record<string, string>> {
    const all: Record<string, string> = {};
    for (const path of await readdir(this.root, { recursive: true })) {
      const real = join(this.root, path);
      const { mode, uid } = await lstat(real);
      const file = (mode & 0o170000) === 0o100000;
      const what = file ? await readFile(real, "utf8") : "folder";
      all[`/${path}`] = `${(mode & 0o7777).toString(8)} ${uid === 12345 ? "gate " : ""}${what}`;
    }
    return all;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#folder[Symbol.asyncDispose]();
  }
}

/** A gateway's service. */
export function service(manager: ManagerName, more: Partial<Service> = {}): Service {
  return {
    id: "sallyport-edge-1",
    role: "gateway",
    name: "edge-1",
    manager,
    scope: "system" satisfies Scope,
    uid: 0,
    home: "/home/ada",
    binary: "/usr/local/bin/sallyport",
    settings: { domain: "https://infisical.example" },
    secrets: { token: "hunter2hunter2" },
    authorities: "-----BEGIN CERTIFICATE-----\n",
    credentials: "load",
    stopTimeout: 25_000,
    lowPort: false,
    ...more,
  };
}
