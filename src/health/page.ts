/** The page for a person: one document with everything in it, and the policy that allows no more. */
import { createHash } from "node:crypto";
import style from "./page/page.css" with { type: "text" };
import document from "./page/page.html" with { type: "text" };
import script from "./page/page.js" with { type: "text" };

/** The document. What it shows it asks for itself. */
export const page: string = document
  .replace(/<style>[^]*<\/style>/, () => `<style>${style}</style>`)
  .replace(/<script>[^]*<\/script>/, () => `<script>${script}</script>`);

/** Content-Security-Policy: our style, our script, questions to us; nothing else, and in no frame. */
export const pagePolicy: string = [
  "default-src 'none'",
  `style-src ${hashOf(style)}`,
  `script-src ${hashOf(script)}`,
  "connect-src 'self'",
  // The icon shows the state.
  "img-src data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

function hashOf(text: string): string {
  return `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
}
