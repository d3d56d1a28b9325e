/** What a change of the link's state means to a person. Pure. */
import type { LinkSnapshot } from "../link/state.ts";
import { redact } from "../log.ts";
import type { HistoryEvent } from "./schema.ts";

/** Something that happened, without when and how often. */
export type Happening = Omit<HistoryEvent, "at" | "times">;

/** What has happened between two states that follow each other. */
export function happenings(before: LinkSnapshot, after: LinkSnapshot): Happening[] {
  const found: Happening[] = [];
  const entered = after.phase !== before.phase ? after.phase : undefined;
  if (entered === "up") {
    const again = after.reconnects > 0 ? " again" : "";
    found.push({ kind: "up", text: `tunnel up${again} through ${relayOf(after)}` });
  } else if (before.phase === "up" && relayOf(before) !== relayOf(after) && !entered) {
    found.push({ kind: "moved", text: `tunnel moved to ${relayOf(after)}` });
  }
  if (entered === "draining") found.push({ kind: "stopping", text: "the gateway is stopping" });
  const [was, is] = [before.certificatesEnd, after.certificatesEnd];
  if (was && is && was.getTime() !== is.getTime()) {
    found.push({ kind: "renewed", text: `certificates renewed, they hold until ${written(is)}` });
  }
  const fault = after.lastError;
  if (fault && fault !== before.lastError) {
    const lost = before.phase === "up" && entered === "down";
    const message = redact(fault.message);
    found.push({
      kind: lost ? "lost" : "error",
      text: lost ? `tunnel lost: ${message}` : message,
      code: fault.code,
      ...(fault.hint !== undefined && { hint: redact(fault.hint) }),
    });
  }
  return found;
}

function relayOf({ relay }: LinkSnapshot): string {
  if (!relay) return "a relay";
  return relay.name === undefined ? relay.address : `${relay.name} (${relay.address})`;
}

function written(date: Date): string {
  return `${date.toISOString().slice(0, 16).replace("T", " ")} UTC`;
}
