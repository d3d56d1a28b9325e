/** Installs a service, removes it, starts, stops and queries it; what fails halfway is undone. */
import { SallyportError } from "../errors.ts";
import { logger } from "../log.ts";
import { withBlock, withoutBlock } from "./crontab.ts";
import { placesOf, type ServiceIdentity } from "./description.ts";
import { FileTree } from "./files.ts";
import { type Manifest, readManifest, writeManifest } from "./manifest.ts";
import type { CrontabBlock, PlannedCommand } from "./manager.ts";
import type { ServicePlan } from "./plan.ts";
import type { Runner, RunResult } from "./runner.ts";
import { managers } from "./table.ts";

const log = logger("service");

/** The machine that a service is installed on. */
export interface Host {
  run: Runner;
  /** What stands before every path; commands do not see it. @default "" */
  root?: string;
}

/**
 * Writes the files and runs the commands. A service that is there is brought up to date. Throws
 * `service` if something fails; everything is as it was before then, but for what the service remembers.
 */
export async function installService(plan: ServicePlan, host: Host): Promise<void> {
  const { identity, places, commands } = plan;
  const tree = treeOf(host);
  const before = await manifestOf(identity, host);
  if (before && before.manager !== identity.manager) {
    throw new SallyportError("service", `${identity.id} is installed with ${before.manager}`, {
      hint: `sallyport service uninstall first, or --manager ${before.manager}`,
    });
  }
  const undoTable = commands.crontab && (await crontabNow(commands.crontab, host));
  try {
    for (const folder of plan.folders) await tree.makeFolder(folder);
    // Windows' access list is set before a secret lies in the folder.
    await tree.makeFolder({ path: places.folder, mode: 0o755 });
    await runAll(commands.prepare ?? [], host);
    for (const file of plan.files) await tree.write(file);
    const files = plan.files.map(({ path }) => path);
    const manifest: Manifest = {
      manager: identity.manager,
      scope: identity.scope,
      runAs: identity.runAs,
      files,
      folders: [...new Set([...before?.folders ?? [], ...tree.made])],
    };
    await tree.write({ path: places.manifest, mode: 0o644, text: writeManifest(manifest) });
    if (commands.crontab) await enterCrontab(commands.crontab, identity.id, host);
    await runAll(commands.install, host);
    await tree.remove((before?.files ?? []).filter((path) => !files.includes(path)));
  } catch (error) {
    await undo(plan, host, tree, undoTable, before !== undefined);
    throw error;
  }
}

async function undo(
  { identity, commands }: ServicePlan,
  host: Host,
  tree: FileTree,
  table: string | undefined,
  update: boolean,
): Promise<void> {
  try {
    if (!update) await runAll(commands.uninstall.map(forgiving), host);
    if (commands.crontab && table !== undefined) {
      await writeCrontab(commands.crontab, table, host);
    }
    await tree.undo();
    const after = update ? commands.install : commands.removed ?? [];
    await runAll(after.map(forgiving), host);
  } catch (error) {
    log.warn("{id} could not be taken back entirely: {message}", {
      id: identity.id,
      message: error instanceof Error ? error.message : String(error),
    });
  }
}

/** What uninstalling may leave. */
export interface UninstallOptions {
  /** Keep what the service remembers: an enrolled gateway's token. */
  keepState?: boolean;
}

/** Stops and removes a service. Nothing of it is left. Throws `service` if it is not installed. */
export async function uninstallService(
  identity: ServiceIdentity,
  host: Host,
  { keepState = false }: UninstallOptions = {},
): Promise<void> {
  const places = placesOf(identity);
  const tree = treeOf(host);
  const manifest = await demandManifest(identity, host);
  const manager = managers[identity.manager];
  const commands = manager.commands(identity, places);
  await runAll(commands.uninstall, host);
  if (commands.crontab) await leaveCrontab(commands.crontab, identity.id, host);
  const remains = manager.remains?.(identity) ?? [];
  const state = keepState ? [] : [places.log, places.state, ...remains];
  await tree.remove([...manifest.files, ...state]);
  await runAll(commands.removed ?? [], host);
  await tree.remove([places.manifest]);
  // Whichever service made the folder of all of them, the last to go takes it along.
  await tree.removeEmpty([...manifest.folders, places.folder]);
}

/** Starts or stops a service that is installed. */
export async function driveService(
  identity: ServiceIdentity,
  verb: "start" | "stop",
  host: Host,
): Promise<void> {
  await demandManifest(identity, host);
  await runAll(managers[identity.manager].commands(identity, placesOf(identity))[verb], host);
}

/** What the manager says of a service; `running` as it means it. */
export async function queryService(
  identity: ServiceIdentity,
  host: Host,
): Promise<{ running: boolean; text: string }> {
  await demandManifest(identity, host);
  const { status } = managers[identity.manager].commands(identity, placesOf(identity));
  const result = await host.run(status.run);
  return { running: result.status === 0, text: (result.out + result.err).trimEnd() };
}

/** What was installed under this identity's places, or undefined. Throws `service` if it is damaged. */
export async function manifestOf(
  identity: ServiceIdentity,
  host: Host,
): Promise<Manifest | undefined> {
  const { manifest } = placesOf(identity);
  const text = await treeOf(host).read(manifest);
  return text === undefined ? undefined : readManifest(text, manifest);
}

async function demandManifest(identity: ServiceIdentity, host: Host): Promise<Manifest> {
  const manifest = await manifestOf(identity, host);
  if (manifest) return manifest;
  throw new SallyportError("service", `${identity.id} is not installed`, {
    hint: identity.scope === "system"
      ? "a service of this user alone is named with --user"
      : "a service of the machine is named without --user",
  });
}

function treeOf({ run, root = "" }: Host): FileTree {
  return new FileTree(root, async (account) => {
    const { status, out } = await run(["id", "-u", account]);
    if (status === 0) return Number(out);
    throw new SallyportError("service", `there is no account "${account}"`, {
      hint: "create it first, or name another one with --run-as",
    });
  });
}

function forgiving(command: PlannedCommand): PlannedCommand {
  return { ...command, mayFail: true };
}

async function runAll(commands: readonly PlannedCommand[], host: Host): Promise<void> {
  for (const { run, mayFail } of commands) {
    const result = await host.run(run).catch((error) => {
      if (mayFail) return undefined;
      throw error;
    });
    if (result && result.status !== 0 && !mayFail) throw failed(run, result);
  }
}

function failed(command: readonly string[], { status, out, err }: RunResult): SallyportError {
  const said = (err || out).trim().replace(/\s*\n\s*/g, " ").slice(0, 500);
  return new SallyportError(
    "service",
    `${command.join(" ")} failed with status ${status}${said && `: ${said}`}`,
  );
}

function crontabCommand({ user }: CrontabBlock, ...args: string[]): readonly string[] {
  return ["crontab", ...(user === undefined ? [] : ["-u", user]), ...args];
}

/** "" for who has no table. */
async function crontabNow(block: CrontabBlock, host: Host): Promise<string> {
  const result = await host.run(crontabCommand(block, "-l"));
  if (result.status === 0) return result.out;
  if (/no crontab|can't open|No such file/i.test(result.err)) return "";
  throw failed(crontabCommand(block, "-l"), result);
}

async function writeCrontab(block: CrontabBlock, table: string, host: Host): Promise<void> {
  if (table === "" && await crontabNow(block, host) === "") return;
  const command = crontabCommand(block, table === "" ? "-r" : "-");
  const result = await host.run(command, table);
  if (result.status !== 0) throw failed(command, result);
}

async function enterCrontab(block: CrontabBlock, id: string, host: Host): Promise<void> {
  await writeCrontab(block, withBlock(await crontabNow(block, host), id, block.lines), host);
}

async function leaveCrontab(block: CrontabBlock, id: string, host: Host): Promise<void> {
  await writeCrontab(block, withoutBlock(await crontabNow(block, host), id), host);
}
