/** Reading a request's body, up to a limit. */
import type { MiddlewareHandler } from "hono";
import type { PlatformEnv } from "./access.ts";
import { Refusal } from "./refusal.ts";

/**
 * Reads the whole body before anything else happens, whether its length was announced or not. Hono's
 * own middleware would copy the request with its signal, of which Deno then prints a warning.
 */
export function limitBody(most: number): MiddlewareHandler<PlatformEnv> {
  return async (context, next) => {
    const { raw } = context.req;
    if (raw.body) {
      const { url, method, headers } = raw;
      const body = await readBody(raw.body, Number(headers.get("content-length") ?? 0), most);
      context.req.raw = new Request(url, { method, headers, ...(body && { body }) });
    }
    await next();
  };
}

async function readBody(
  stream: ReadableStream<Uint8Array>,
  announced: number,
  most: number,
): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  if (announced <= most) {
    for await (const chunk of stream) {
      length += chunk.length;
      if (length > most) break;
      chunks.push(chunk);
    }
  }
  if (announced > most || length > most) {
    throw new Refusal(413, `the body is longer than ${most} bytes`);
  }
  return length === 0 ? undefined : join(chunks, length);
}

function join(chunks: Uint8Array[], length: number): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}
