/** YAML for configuration files; loaded only where there is one. */
import { LineCounter, parseDocument, visit } from "yaml";

/**
 * Parses one document. Every scalar stays the text that was written: a token of digits is no number.
 * With a fault there is its line, and no value.
 */
export function parseYaml(content: string): { value?: unknown; faultyLine?: number } {
  const lineCounter = new LineCounter();
  const document = parseDocument(content, { schema: "failsafe", lineCounter, logLevel: "silent" });
  let fault: number | undefined = document.errors[0]?.pos[0];
  // Aliases are of no use here, and can make a small file enormous.
  visit(document, { Alias: (_, { range }) => void (fault ??= range?.[0] ?? 0) });
  if (fault !== undefined) return { faultyLine: lineCounter.linePos(fault).line };
  return { value: document.toJS() ?? {} };
}
