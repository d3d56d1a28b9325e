/** Connections through a company's proxy: HTTP CONNECT (RFC 9110 §9.3.6) and SOCKS5 (RFC 1928). */
import { Buffer } from "node:buffer";
import type { Socket } from "node:net";
import { SocksClient } from "socks";
import { connect as connectTls } from "node:tls";
import { SallyportError } from "../errors.ts";
import { logger } from "../log.ts";
import type { Dial, DialOptions } from "./dial.ts";
import { type Environment, type Proxy, proxyFor } from "./proxy_choice.ts";

const log = logger("egress");

/** Most bytes of a proxy's answer to CONNECT. */
const MAX_ANSWER = 16 * 1024;
/** Time for a proxy's answer, ms. */
const ANSWER_TIMEOUT = 30_000;

/** A proxy that is there and does not let the connection through. */
class ProxyRefusal extends SallyportError {}

/**
 * Dials through the proxy that the environment names for a destination, and directly where it names
 * none. A proxy that refuses is passed by: a firewall may let the relay's port out directly and the
 * proxy only 443. Errors carry the direct dialer's code, and name the proxy.
 */
export function proxiedDialer(direct: Dial, env: Environment): Dial {
  return async (host, port, options = {}) => {
    const proxy = proxyFor(host, port, env);
    if (!proxy) return await direct(host, port, options);
    try {
      return await throughProxy(proxy, { host, port }, direct, options);
    } catch (error) {
      if (!(error instanceof ProxyRefusal)) throw error;
      log.info("{message}; trying without it", { message: error.message });
      return await direct(host, port, options).catch((failure) => {
        throw new SallyportError(
          failure.code ?? error.code,
          `${error.message}; ${failure.message}`,
          {
            hint: error.hint,
            cause: failure,
          },
        );
      });
    }
  };
}

interface Destination {
  host: string;
  port: number;
}

async function throughProxy(
  proxy: Proxy,
  destination: Destination,
  direct: Dial,
  options: DialOptions,
): Promise<Socket> {
  const where = `proxy ${proxy.host}:${proxy.port}`;
  const socket = await direct(proxy.host, proxy.port, options).catch((error) => {
    throw error instanceof SallyportError
      ? new SallyportError(error.code, `${where}: ${error.message}`, {
        hint: "check HTTPS_PROXY, ALL_PROXY and NO_PROXY",
        cause: error,
      })
      : error;
  });
  const deadline = AbortSignal.any([
    AbortSignal.timeout(options.timeout ?? ANSWER_TIMEOUT),
    ...(options.signal ? [options.signal] : []),
  ]);
  const giveUp = () => socket.destroy();
  deadline.addEventListener("abort", giveUp, { once: true });
  try {
    deadline.throwIfAborted();
    if (proxy.kind === "socks5") return await socks(socket, proxy, destination, where);
    const stream = proxy.kind === "https" ? await secure(socket, proxy, where) : socket;
    return await httpConnect(stream, proxy, destination, where);
  } catch (error) {
    socket.destroy();
    options.signal?.throwIfAborted();
    if (deadline.aborted) throw refusal(where, "it does not answer");
    throw error;
  } finally {
    deadline.removeEventListener("abort", giveUp);
  }
}

function refusal(where: string, why: string, hint?: string): ProxyRefusal {
  return new ProxyRefusal("relay-unreachable", `${where}: ${why}`, { hint });
}

function secure(socket: Socket, { host }: Proxy, where: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const tls = connectTls({ socket, host, servername: host, ALPNProtocols: ["http/1.1"] });
    tls.once("secureConnect", () => resolve(tls));
    tls.once("error", (error) => reject(refusal(where, `TLS failed: ${error.message}`)));
  });
}

async function httpConnect(
  socket: Socket,
  { user, password }: Proxy,
  { host, port }: Destination,
  where: string,
): Promise<Socket> {
  const authority = `${host.includes(":") ? `[${host.replace(/[[\]]/g, "")}]` : host}:${port}`;
  const credentials = user === undefined
    ? ""
    : `Proxy-Authorization: Basic ${
      Buffer.from(`${user}:${password ?? ""}`).toString("base64")
    }\r\n`;
  socket.write(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n${credentials}\r\n`);
  const { head, rest } = await readHead(socket, where);
  const status = /^HTTP\/1\.[01] (\d{3})/.exec(head)?.[1];
  if (status === undefined) throw refusal(where, "its answer is not HTTP");
  if (!status.startsWith("2")) {
    const hint = status === "407"
      ? "it wants a user name and password: HTTPS_PROXY=http://user:password@host:port"
      : `it must allow CONNECT to port ${port}, or NO_PROXY must name ${host}`;
    throw refusal(where, `it answers ${status} to CONNECT ${authority}`, hint);
  }
  if (rest.length > 0) socket.unshift(rest);
  return socket;
}

/** The header section of an answer, and what came behind it. Leaves the socket paused. */
function readHead(socket: Socket, where: string): Promise<{ head: string; rest: Buffer }> {
  return new Promise((resolve, reject) => {
    let bytes = Buffer.alloc(0);
    const settle = () => {
      socket.pause();
      socket.off("data", onData).off("error", onError).off("close", onClose).off("end", onClose);
    };
    const onError = (error: Error) => {
      settle();
      reject(refusal(where, error.message));
    };
    const onClose = () => onError(new Error("it closed the connection"));
    const onData = (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk]);
      const end = bytes.indexOf("\r\n\r\n");
      if (end < 0 && bytes.length <= MAX_ANSWER) return;
      if (end < 0) return onError(new Error(`its answer is longer than ${MAX_ANSWER} bytes`));
      settle();
      resolve({ head: bytes.toString("latin1", 0, end), rest: bytes.subarray(end + 4) });
    };
    socket.on("data", onData).on("error", onError).on("close", onClose).on("end", onClose);
  });
}

async function socks(
  socket: Socket,
  { host: proxyHost, port: proxyPort, user, password }: Proxy,
  { host, port }: Destination,
  where: string,
): Promise<Socket> {
  try {
    const { socket: connected } = await SocksClient.createConnection({
      proxy: {
        host: proxyHost,
        port: proxyPort,
        type: 5,
        ...(user !== undefined && { userId: user, password: password ?? "" }),
      },
      command: "connect",
      destination: { host, port },
      existing_socket: socket,
    });
    return connected;
  } catch (error) {
    throw refusal(where, error instanceof Error ? error.message : String(error));
  }
}
