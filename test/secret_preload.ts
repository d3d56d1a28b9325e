/**
 * Loaded before every test file by scripts/test.ts: everything is logged, for nobody but the search for
 * secrets, and what goes to and comes from a platform's API is looked through for secrets.
 */
import { watchLogs } from "./captured_log.ts";
import { noteSecret, noteSecretsIn } from "./secret_watch.ts";

/** Answers of the API are shorter. */
const MOST = 64 * 1024;

watchLogs();

const { fetch } = globalThis;
globalThis.fetch = async (input, init) => {
  const where = `a call of ${new URL(input instanceof Request ? input.url : input).pathname}`;
  const bearer = new Headers(init?.headers).get("authorization")?.replace(/^Bearer /, "");
  if (bearer !== undefined) noteSecret(`bearer token of ${where}`, bearer);
  if (typeof init?.body === "string") noteJson(where, init.body);
  const response = await fetch(input, init);
  if (!response.body || !response.headers.get("content-type")?.includes("json")) return response;
  const { status, statusText, headers } = response;
  return new Response(response.body.pipeThrough(listener(where)), { status, statusText, headers });
};

function listener(where: string): TransformStream<Uint8Array<ArrayBuffer>> {
  const decoder = new TextDecoder();
  let text = "";
  return new TransformStream({
    transform(chunk, controller) {
      if (text.length < MOST) text += decoder.decode(chunk, { stream: true });
      controller.enqueue(chunk);
    },
    flush: () => noteJson(where, text),
  });
}

function noteJson(where: string, text: string): void {
  try {
    noteSecretsIn(where, JSON.parse(text));
  } catch {
    // Tests send much that is no JSON.
  }
}
