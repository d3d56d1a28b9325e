/** How http mode says that something went wrong (protocol.md): a status and one line of JSON. */
import { Buffer } from "node:buffer";
import { type ServerResponse, STATUS_CODES } from "node:http";

function body(message: string): string {
  return JSON.stringify({ message: `gateway: ${message}` });
}

/** Answers a request with 500. The connection stays usable. Cuts an answer off that has begun. */
export function answerError(response: ServerResponse, message: string): void {
  if (response.headersSent) return void response.destroy();
  const text = body(message);
  response.writeHead(500, {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(text),
  });
  response.end(text);
}

/** A whole answer as text, for when there is no request that could be answered. */
export function errorText(message: string, status = 500): string {
  const text = body(message);
  return [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    "content-type: application/json",
    `content-length: ${Buffer.byteLength(text)}`,
    "connection: close",
    "",
    text,
  ].join("\r\n");
}
