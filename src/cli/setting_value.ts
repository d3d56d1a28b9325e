/** The text behind a flag, and what a shell may complete it with. */
import type { NonEmptyString } from "@optique/core/nonempty";
import type { Suggestion } from "@optique/core/parser";
import { string, type ValueParser } from "@optique/core/valueparser";
import { fileTypeOf, type Setting } from "../config/setting.ts";

/** Any text: what it means is read later, with where it came from (config/load.ts). */
export function settingValue(
  { metavar, schema }: Pick<Setting, "metavar" | "schema">,
): ValueParser<"sync", string> {
  const words = fileTypeOf(schema).enum;
  const suggestions: ((prefix: string) => Suggestion[]) | undefined = words !== undefined
    ? (prefix) =>
      words.filter((word) => word.startsWith(prefix)).map((word) => ({
        kind: "literal",
        text: word,
      }))
    : metavar === "FILE" || metavar === "DIR"
    ? () => [{ kind: "file", type: metavar === "DIR" ? "directory" : "any" }]
    : undefined;
  const value = string({ metavar: metavar as NonEmptyString });
  return suggestions === undefined ? value : { ...value, suggest: suggestions };
}
