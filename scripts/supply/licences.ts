/** Which licences a dependency may have, and the notices that go with the binary. */
import parse, { type Info } from "spdx-expression-parse";
import type { Package } from "./packages.ts";

/**
 * Each lets anybody use, change and pass on a binary that holds the package, under no more than a duty to
 * give its notice. One that asks for more is a decision for a person, not for this list.
 */
const IN_BINARY = ["0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "Unlicense"];
/** Licences of data, which only tools read. */
const IN_TOOLS = [...IN_BINARY, "CC0-1.0", "CC-BY-3.0"];

/** What is wrong with an SPDX licence expression; undefined if it is allowed. */
export function objectionTo(licence: string, where: "binary" | "tools"): string | undefined {
  const allowed = new Set(where === "binary" ? IN_BINARY : IN_TOOLS);
  let expression: Info;
  try {
    expression = parse(licence);
  } catch {
    return `"${licence}" is not an SPDX expression`;
  }
  return isAllowed(expression, allowed)
    ? undefined
    : `${licence} is not on the list of allowed licences`;
}

/** Of alternatives one is enough. A licence with an exception is another licence. */
function isAllowed(expression: Info, allowed: ReadonlySet<string>): boolean {
  if ("conjunction" in expression) {
    const sides = [expression.left, expression.right].map((side) => isAllowed(side, allowed));
    return expression.conjunction === "or" ? sides.includes(true) : !sides.includes(false);
  }
  return "license" in expression && !("exception" in expression) &&
    !("plus" in expression) && allowed.has(expression.license);
}

/** The text that has to be passed on with a binary that holds these packages. */
export function noticesOf(packages: readonly Package[], runtime: string): string {
  const parts = packages.map(({ id, installed }) => {
    const { licence = "", notices = "" } = installed ?? {};
    return [`${id} (${licence})`, notices || "The package has no licence file of its own."];
  });
  return [
    [
      "The sallyport binary holds these packages, and the runtime of Deno",
      `${runtime} (MIT; its own parts: https://github.com/denoland/deno/tree/v${runtime}).`,
    ].join("\n"),
    ...parts.map(([head, text]) => `${"=".repeat(80)}\n${head}\n\n${text}`),
  ].join("\n\n") + "\n";
}
