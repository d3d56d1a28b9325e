/**
 * Loaded before every test file by scripts/test.ts: everything is logged, for nobody but the search for
 * secrets, what goes to and comes from a platform's API is looked through for secrets, and what a
 * gateway tells of its health is an output.
 */
import { watchLogs } from "./captured_log.ts";
import { noteOutput, noteSecret, noteSecretsIn } from "./secret_watch.ts";

/** Answers of the API are shorter. */
const MOST = 64 * 1024;

/** Where a gateway tells of itself. */
const HEALTH = ["/status", "/history", "/metrics", "/readyz", "/healthz", "/livez"];

watchLogs();

const { fetch } = globalThis;
globalThis.fetch = async (input, init) => {
  const { pathname } = new URL(input instanceof Request ? input.url : input);
  const where = `a call of ${pathname}`;
  const bearer = new Headers(init?.headers).get("authorization")?.replace(/^Bearer /, "");
  if (bearer !== undefined) noteSecret(`bearer token of ${where}`, bearer);
  if (typeof init?.body === "string") noteJson(where, init.body);
  const response = await fetch(input, init);
  const { status, statusText, headers, body } = response;
  const type = headers.get("content-type") ?? "";
  const note = HEALTH.includes(pathname) || type.includes("html")
    ? noteOutput
    : type.includes("json")
    ? (text: string) => noteJson(where, text)
    : undefined;
  if (!body || !note) return response;
  return new Response(body.pipeThrough(listener(note)), { status, statusText, headers });
};

function listener(note: (text: string) => void): TransformStream<Uint8Array<ArrayBuffer>> {
  const decoder = new TextDecoder();
  let text = "";
  return new TransformStream({
    transform(chunk, controller) {
      if (text.length < MOST) text += decoder.decode(chunk, { stream: true });
      controller.enqueue(chunk);
    },
    flush: () => note(text),
  });
}

function noteJson(where: string, text: string): void {
  try {
    noteSecretsIn(where, JSON.parse(text));
  } catch {
    // Tests send much that is no JSON.
  }
}
