/** Asks the health endpoint of a gateway on this host, which is how one that runs is noticed. */
import { get } from "node:http";
import * as z from "zod";
import { parseListenAddress } from "../../listen.ts";

/** Longest answer that is read, bytes. */
const MAX_ANSWER = 256 * 1024;

const status = z.object({
  ready: z.boolean(),
  reason: z.string(),
  phase: z.string(),
  gateway: z.string(),
  relay: z.object({ name: z.string().optional(), address: z.string() }).optional(),
});

/** What is found at the health address. */
export type GatewayHere =
  /** It is switched off: a gateway that runs cannot be seen. */
  | { kind: "off" }
  /** Nobody listens. */
  | { kind: "nobody"; address: string }
  /** Something listens that is no gateway of ours, or does not answer. */
  | { kind: "other"; address: string }
  | ({ kind: "gateway"; address: string } & z.infer<typeof status>);

/** Looks at the address that `--health-listen` says. Throws `usage` if it is none. */
export async function lookHere(listen: string, signal: AbortSignal): Promise<GatewayHere> {
  if (listen === "off") return { kind: "off" };
  const { host, port } = parseListenAddress(listen, "--health-listen");
  const loopback: Record<string, string> = { "": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1" };
  const where = { host: loopback[host] ?? host, port };
  const address = where.host.includes(":") ? `[${where.host}]:${port}` : `${where.host}:${port}`;
  try {
    const parsed = status.safeParse(JSON.parse(await read(where, signal)));
    return parsed.success
      ? { kind: "gateway", address, ...parsed.data }
      : { kind: "other", address };
  } catch (error) {
    signal.throwIfAborted();
    const { code } = error as { code?: string };
    return { kind: code === "ECONNREFUSED" ? "nobody" : "other", address };
  }
}

/** Not by fetch, which would ask a proxy of the environment for it. */
function read(
  { host, port }: { host: string; port: number },
  signal: AbortSignal,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = get({ host, port, path: "/status", agent: false, signal }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        text += chunk;
        if (text.length > MAX_ANSWER) request.destroy(new Error("the answer is too long"));
      });
      response.on("error", reject);
      response.on("end", () => resolve(text));
    });
    request.on("error", reject);
  });
}
