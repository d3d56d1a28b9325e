/**
 * What is wrong with the mode and the owner of a file. Grave is what a gateway refuses
 * (`file_rights.ts`), and a configuration that its group may change. Pure.
 */
import { FORBIDDEN } from "../../file_rights.ts";

/** What a file is: a secret, one that the gateway wrote, the folder of such, or settings without one. */
export type Rule = "secret" | "state" | "folder" | "config";

/** A file as the system describes it. */
export interface FileFacts {
  path: string;
  mode: number;
  /** Number of the user whom it belongs to. */
  owner: number;
}

/** Something wrong. */
export interface ModeFault {
  finding: string;
  remedy: string;
  /** A failure, not a warning. */
  grave: boolean;
}

/** Bits that must not be set, gravely and otherwise, and what then helps. */
const RULES: Record<Rule, { grave: number; light: number; mode: string }> = {
  secret: { grave: FORBIDDEN.given, light: 0o050, mode: "600" },
  state: { grave: FORBIDDEN.own, light: 0, mode: "600" },
  folder: { grave: FORBIDDEN.own, light: 0, mode: "700" },
  config: { grave: FORBIDDEN.settings | 0o020, light: 0, mode: "644" },
};

/** The fault of one file, seen by the user `uid`, or undefined. */
export function modeFault(
  { path, mode, owner }: FileFacts,
  rule: Rule,
  uid: number,
): ModeFault | undefined {
  const { grave, light, mode: wanted } = RULES[rule];
  const bits = mode & 0o777;
  const open = (forbidden: number): ModeFault | undefined => {
    if ((bits & forbidden) === 0) return undefined;
    const octal = bits.toString(8).padStart(4, "0");
    const known = (rule === "secret" || rule === "state") && (bits & 0o004) !== 0;
    return {
      finding: `${path} ${verb(bits & (grave | light))} (mode ${octal})`,
      remedy: `chmod ${wanted} ${path}` +
        (known ? ", and replace the secret if others may have read it" : ""),
      grave: forbidden === grave,
    };
  };
  return open(grave) ?? strange({ path, mode, owner }, rule, uid) ?? open(light);
}

function strange({ path, owner }: FileFacts, rule: Rule, uid: number): ModeFault | undefined {
  if (owner === uid || owner === 0 || uid === 0) return undefined;
  return {
    finding: `${path} belongs to the user ${owner}, not to this one (${uid})`,
    remedy: `chown ${uid} ${path}, or run this as that user`,
    grave: rule !== "config",
  };
}

function verb(bits: number): string {
  const written = (bits & 0o022) !== 0;
  const who = (bits & 0o007) !== 0 ? "everybody" : "its group";
  return `${written ? "can be written by" : "can be read by"} ${who}`;
}
