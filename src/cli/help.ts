/** What the help says beside the commands and their flags. */
import { bash, fish, nu, pwsh, zsh } from "@optique/core/completion";
import { lineBreak, type Message, text } from "@optique/core/message";
import type { Usage } from "@optique/core/usage";

/** The usage line of what only groups commands. */
export const COMMAND_USAGE: Usage = [
  { type: "literal", value: "COMMAND" },
  { type: "ellipsis" },
];

/** Shells that a completion script can be made for. */
export const SHELLS = { bash, zsh, fish, pwsh, powershell: pwsh, nu };

/** Lines, each as it stands. */
export function lines(...texts: string[]): Message {
  return texts.flatMap((line, at) => at === 0 ? [text(line)] : [lineBreak(), text(line)]);
}

/** The end of a command's help: lines that can be copied. */
export function examples(...commands: string[]): Message {
  return lines(
    commands.length === 1 ? "Example:" : "Examples:",
    ...commands.map((command) => `  ${command}`),
  );
}

/** What the process exits with, in the order of the numbers (errors.ts). */
export const EXIT_STATUSES = [
  [0, "done"],
  [1, "failure"],
  [2, "wrong usage or configuration"],
  [3, "credentials refused"],
  [4, "a peer could not prove who it is"],
  [5, "unreachable"],
  [6, "this host refuses: a port in use, a file"],
  [7, "revoked by the platform"],
  [130, "interrupted"],
] as const;

/** The first lines that people try. */
export const FIRST_STEPS = [
  "sallyport demo",
  "sallyport gateway start edge-1 --token @/etc/sallyport/token",
  "sallyport completion bash > ~/.local/share/bash-completion/completions/sallyport",
] as const;

/** The end of the help of the whole. */
export const FOOTER = lines(
  "Exit statuses:",
  ...EXIT_STATUSES.map(([status, meaning]) => `  ${String(status).padEnd(4)} ${meaning}`),
);
