/**
 * The pod's own credentials, when the gateway runs inside Kubernetes, and the header with which the
 * platform asks for them (protocol.md). They open the cluster: nobody but the platform gets their use.
 */
import { readFile } from "node:fs/promises";
import process from "node:process";
import type { Actor } from "../channel/route.ts";
import { SallyportError } from "../errors.ts";

/** The header that names an action. It never goes on to a target. */
export const ACTION_HEADER = "x-infisical-action";

const ACTIONS = ["inject-k8s-sa-auth-token", "use-k8s-sa"] as const;
/** Put the token into the request; or also send the request to the cluster's API server. */
export type KubernetesAction = (typeof ACTIONS)[number];

const FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount";

/** What a gateway reads of it. */
export const KUBERNETES_FILES: readonly string[] = [`${FOLDER}/token`, `${FOLDER}/ca.crt`];

/** Where the pod's credentials are; tests put them elsewhere. */
export interface KubernetesFiles {
  /** The service account's token. @default Kubernetes' own place */
  tokenPath?: string;
  /** The cluster's authority, PEM. @default Kubernetes' own place */
  caPath?: string;
  /** The API server's host. @default KUBERNETES_SERVICE_HOST */
  apiHost?: string;
  /** The API server's port. @default KUBERNETES_SERVICE_PORT_HTTPS */
  apiPort?: number;
}

/** The cluster's API server. */
export interface ApiServer {
  host: string;
  port: number;
  /** PEM. */
  ca: string;
}

/**
 * Which action the values of the header ask for, if any. Throws `target-refused` if it is not one that
 * we know, or if the actor is not the platform.
 */
export function readAction(values: readonly string[], actor: Actor): KubernetesAction | undefined {
  if (values.length === 0) return undefined;
  if (actor.type !== "platform") {
    throw new SallyportError(
      "target-refused",
      `${ACTION_HEADER} is for the platform alone; this connection is a ${actor.type}'s`,
    );
  }
  const action = ACTIONS.find((known) => values.length === 1 && values[0] === known);
  if (!action) {
    throw new SallyportError(
      "target-refused",
      `${ACTION_HEADER} must be one of ${ACTIONS.join(", ")}`,
    );
  }
  return action;
}

/** The service account's token. Read anew each time: Kubernetes replaces it every hour or so. */
export async function serviceAccountToken(
  { tokenPath = `${FOLDER}/token` }: KubernetesFiles = {},
): Promise<string> {
  // The platform tells "not in a cluster" by these words.
  const token = (await read(tokenPath, "failed to read k8s sa auth token")).trim();
  if (!/^[\x21-\x7e]+$/.test(token)) {
    throw new SallyportError("file", `failed to read k8s sa auth token: ${tokenPath} holds none`);
  }
  return token;
}

/** Where the cluster's API server is and who vouches for it. */
export async function apiServer(
  {
    caPath = `${FOLDER}/ca.crt`,
    apiHost = process.env.KUBERNETES_SERVICE_HOST,
    apiPort = Number(process.env.KUBERNETES_SERVICE_PORT_HTTPS ?? 443),
  }: KubernetesFiles = {},
): Promise<ApiServer> {
  if (!apiHost) {
    throw new SallyportError(
      "config",
      "KUBERNETES_SERVICE_HOST is not set: the gateway does not run in a Kubernetes pod",
    );
  }
  if (!Number.isInteger(apiPort) || apiPort < 1 || apiPort > 65535) {
    throw new SallyportError("config", "KUBERNETES_SERVICE_PORT_HTTPS is not a port");
  }
  const ca = await read(caPath, "failed to read k8s sa ca cert");
  return { host: apiHost, port: apiPort, ca };
}

async function read(path: string, what: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    const { code } = cause as { code?: string };
    const why = code === "ENOENT" ? "no such file" : code ?? "it cannot be read";
    throw new SallyportError("file", `${what}: ${path}: ${why}`, { cause });
  }
}
