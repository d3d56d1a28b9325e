/** OpenSSH's own programs as peers of a test: sshd with a configuration of its own, and ssh. */
import { writeFile } from "node:fs/promises";
import { userInfo } from "node:os";
import { join } from "node:path";
import type { KeyObject } from "node:crypto";
import { formatAuthorizedKey, publicKeyBlob } from "../../src/certificates/ssh_key.ts";
import { freePort } from "../lab_process.ts";
import { inPath } from "../requirements.ts";

/** Loopback address of this file's programs. */
export const HOST = "127.0.60.1";
/** The only user that an sshd without privileges can log in. */
export const USER = userInfo().username;

export interface Program {
  /** Resolves with the first line, past or future, that fits; rejects if the program ends before. */
  line(fits: RegExp): Promise<string>;
  /** What it wrote to standard error so far. */
  readonly log: string;
  /** Its exit status, once it has ended. */
  ended: Promise<number>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Starts a program and gathers its standard error. */
export function startProgram(name: string, args: string[]): Program {
  const child = new Deno.Command(inPath(name) ?? name, {
    args,
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  let log = "";
  let over = false;
  let look = () => {};
  const reading = (async () => {
    for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) {
      log += text;
      look();
    }
    over = true;
    look();
  })();
  const ended = reading.then(() => child.status).then(({ code }) => code);
  return {
    line: (fits) =>
      new Promise((resolve, reject) => {
        look = () => {
          const found = log.split("\n").find((line) => fits.test(line));
          if (found !== undefined) resolve(found);
          else if (over) reject(new Error(`${name} ended without ${fits}:\n${log}`));
        };
        look();
      }),
    get log() {
      return log;
    },
    ended,
    async [Symbol.asyncDispose]() {
      if (!over) child.kill("SIGKILL");
      await ended;
    },
  };
}

/** Writes an authority's public key, or a certificate, as a line. */
export async function writeLine(path: string, blob: Uint8Array, before = ""): Promise<string> {
  await writeFile(path, `${before}${formatAuthorizedKey(blob)}\n`);
  return path;
}

/** Writes a private key as OpenSSH wants it. */
export async function writeKey(path: string, pem: string): Promise<string> {
  await writeFile(path, pem, { mode: 0o600 });
  return path;
}

/** How an sshd is set up. */
export interface SshdOptions {
  /** For its files. */
  folder: string;
  hostKeys: string[];
  hostCertificates?: string[];
  userAuthority: KeyObject;
  /** Names that a user certificate may carry. */
  principals: string[];
  more?: string[];
}

/** An sshd on a free port. */
export async function startSshd(options: SshdOptions): Promise<Program & { port: number }> {
  const { folder, hostKeys, hostCertificates = [], more = [] } = options;
  const port = await freePort(HOST);
  const authority = await writeLine(
    join(folder, "user_ca.pub"),
    publicKeyBlob(options.userAuthority),
  );
  const principals = join(folder, "principals");
  await writeFile(principals, options.principals.join("\n") + "\n");
  const config = join(folder, "sshd_config");
  await writeFile(
    config,
    [
      `ListenAddress ${HOST}:${port}`,
      ...hostKeys.map((path) => `HostKey ${path}`),
      ...hostCertificates.map((path) => `HostCertificate ${path}`),
      `TrustedUserCAKeys ${authority}`,
      `AuthorizedPrincipalsFile ${principals}`,
      "AuthorizedKeysFile none",
      "PidFile none",
      "StrictModes no",
      "UsePAM no",
      "PasswordAuthentication no",
      "PermitRootLogin prohibit-password",
      "LogLevel DEBUG1",
      ...more,
      "",
    ].join("\n"),
  );
  if (Deno.uid() === 0) await Deno.mkdir("/run/sshd", { recursive: true, mode: 0o755 });
  const sshd = startProgram("sshd", ["-D", "-e", "-f", config]);
  try {
    await sshd.line(/Server listening on/);
  } catch (error) {
    await sshd[Symbol.asyncDispose]();
    throw error;
  }
  return Object.assign(sshd, { port });
}

/** How ssh is run. */
export interface SshOptions {
  port: number;
  user: string;
  /** The name that it believes to talk to. */
  host: string;
  knownHosts: string;
  identity: string;
  certificate?: string;
  /** `Name=value`, as after `-o`. */
  more?: string[];
}

/** Runs ssh without a command: it logs in and stays. */
export function startSsh(options: SshOptions): Program {
  const settings = [
    `HostKeyAlias=${options.host}`,
    `UserKnownHostsFile=${options.knownHosts}`,
    "GlobalKnownHostsFile=/dev/null",
    "StrictHostKeyChecking=yes",
    `IdentityFile=${options.identity}`,
    ...(options.certificate ? [`CertificateFile=${options.certificate}`] : []),
    "IdentitiesOnly=yes",
    "IdentityAgent=none",
    "BatchMode=yes",
    ...(options.more ?? []),
  ];
  return startProgram("ssh", [
    ...["-v", "-N", "-F", "none", "-p", `${options.port}`],
    ...settings.flatMap((setting) => ["-o", setting]),
    `${options.user}@${HOST}`,
  ]);
}
