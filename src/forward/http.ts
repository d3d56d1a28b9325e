/**
 * Mode http: a CONFIG line, then HTTP/1.1 requests with keep-alive, each sent to the target that the
 * client certificate names (protocol.md).
 */
import type { Duplex } from "node:stream";
import { asSallyportError } from "../errors.ts";
import { answer } from "./answer.ts";
import { readFirstLine } from "./first_line.ts";
import type { ForwardHandler } from "./handler.ts";
import { type HttpConfig, MAX_CONFIG_LINE, parseHttpConfig } from "./http_config.ts";
import { errorText } from "./http_error.ts";
import { HttpSession } from "./http_session.ts";

/** Time for the CONFIG line, ms. */
const CONFIG_TIMEOUT = 30_000;

/**
 * Serves one stream of requests until it is over. Counts the bodies' bytes. Errors of single requests
 * are answered with 500; rejects if the CONFIG line is malformed (answered with 500 as well), if the
 * stream breaks while a request is being served, or if it is aborted.
 */
export const forwardHttp: ForwardHandler = async (stream, route, context) => {
  // Stays: nothing that happens to the stream between two owners may go unheard.
  stream.on("error", () => {});
  let config: HttpConfig | undefined;
  try {
    config = await readConfig(stream, context.signal);
  } catch (error) {
    const { code, message } = asSallyportError(error);
    if (code === "route-malformed") await answer(stream, errorText(message), context);
    else stream.destroy();
    throw error;
  }
  if (!config) return await answer(stream, "", context);
  return await new HttpSession(stream, route, config, context).finished;
};

/** Nothing if the client left without a word. */
async function readConfig(stream: Duplex, signal: AbortSignal): Promise<HttpConfig | undefined> {
  const line = await readFirstLine(stream, {
    limit: MAX_CONFIG_LINE,
    timeout: CONFIG_TIMEOUT,
    signal,
  });
  return line === undefined ? undefined : parseHttpConfig(line);
}
