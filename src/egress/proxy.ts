/** Connections through a company's proxy: HTTP CONNECT (RFC 9110 §9.3.6) and SOCKS5 (RFC 1928). */
import { Buffer } from "node:buffer";
import type { Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { SallyportError } from "../errors.ts";
import { FoldedLog } from "../folding.ts";
import { hideSecret, logger } from "../log.ts";
import type { Dial, DialOptions } from "./dial.ts";
import { AnswerReader } from "./proxy_answer.ts";
import { type Environment, type Proxy, proxyFor } from "./proxy_choice.ts";
import { requestSocks5 } from "./socks5.ts";

const log = logger("egress");

/** Time for a proxy's answer, ms. */
const ANSWER_TIMEOUT = 30_000;

/** A proxy that is there and does not let the connection through. */
class ProxyRefusal extends SallyportError {}

/**
 * Dials through the proxy that the environment names for a destination, and directly where it names
 * none. A proxy that refuses is passed by: a firewall may let the relay's port out directly and the
 * proxy only 443. Errors carry the direct dialer's code, and name the proxy. A socket that comes through
 * a proxy is paused: what the other side says first waits for who resumes it.
 */
export function proxiedDialer(direct: Dial, env: Environment): Dial {
  const folded = new FoldedLog(log, Date.now);
  return async (host, port, options = {}) => {
    const proxy = proxyFor(host, port, env);
    if (!proxy) return await direct(host, port, options);
    try {
      return await throughProxy(proxy, { host, port }, direct, options);
    } catch (error) {
      if (!(error instanceof ProxyRefusal)) throw error;
      folded.tell("info", "{message}; trying without it", { message: error.message });
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
  if (proxy.password !== undefined) hideSecret(proxy.password);
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
    const stream = proxy.kind === "https" ? await secure(socket, proxy, where) : socket;
    const answers = new AnswerReader(stream);
    if (proxy.kind === "socks5") {
      const { user, password } = proxy;
      await requestSocks5(stream, answers, { ...destination, user, password });
    } else {
      await httpConnect(stream, answers, proxy, destination, where);
    }
    answers.release();
    return stream;
  } catch (error) {
    socket.destroy();
    options.signal?.throwIfAborted();
    if (deadline.aborted) throw refusal(where, "it does not answer");
    if (error instanceof SallyportError) throw error;
    throw refusal(where, error instanceof Error ? error.message : String(error));
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
    tls.once("close", () => reject(refusal(where, "it closed the connection")));
    tls.once("error", (error) => reject(refusal(where, `TLS failed: ${error.message}`)));
  });
}

async function httpConnect(
  socket: Socket,
  answers: AnswerReader,
  { user, password }: Proxy,
  { host, port }: Destination,
  where: string,
): Promise<void> {
  const authority = `${host.includes(":") ? `[${host.replace(/[[\]]/g, "")}]` : host}:${port}`;
  const credentials = user === undefined
    ? ""
    : `Proxy-Authorization: Basic ${
      Buffer.from(`${user}:${password ?? ""}`).toString("base64")
    }\r\n`;
  socket.write(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n${credentials}\r\n`);
  const head = (await answers.take(headLength)).toString("latin1");
  const status = /^HTTP\/1\.[01] (\d{3})/.exec(head)?.[1];
  if (status === undefined) throw refusal(where, "its answer is not HTTP");
  if (status.startsWith("2")) return;
  const hint = status === "407"
    ? "it wants a user name and password: HTTPS_PROXY=http://user:password@host:port"
    : `it must allow CONNECT to port ${port}, or NO_PROXY must name ${host}`;
  throw refusal(where, `it answers ${status} to CONNECT ${authority}`, hint);
}

/** Length of the header section of an answer. */
function headLength(bytes: Buffer): number | undefined {
  const end = bytes.indexOf("\r\n\r\n");
  return end < 0 ? undefined : end + 4;
}
