/** What is wrong with the mode and the owner of a file. Pure. */

/** What a file is: holds a secret, is the folder of such, or configures without one. */
export type Rule = "secret" | "folder" | "config";

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
  secret: { grave: 0o027, light: 0o050, mode: "600" },
  folder: { grave: 0o022, light: 0o055, mode: "700" },
  config: { grave: 0o022, light: 0, mode: "644" },
};

/** The fault of one file, seen by the user `uid`, or undefined. */
export function modeFault(
  { path, mode, owner }: FileFacts,
  rule: Rule,
  uid: number,
): ModeFault | undefined {
  const { grave, light, mode: wanted } = RULES[rule];
  const bits = mode & 0o777;
  if ((bits & (grave | light)) !== 0) {
    const octal = bits.toString(8).padStart(4, "0");
    return {
      finding: `${path} can be ${verb(bits & (grave | light))} (mode ${octal})`,
      remedy: `chmod ${wanted} ${path}` +
        (rule === "secret" && (bits & 0o004) !== 0
          ? ", and replace the secret if others may have read it"
          : ""),
      grave: (bits & grave) !== 0,
    };
  }
  if (owner === uid || owner === 0 || uid === 0) return undefined;
  return {
    finding: `${path} belongs to the user ${owner}, not to this one (${uid})`,
    remedy: `chown ${uid} ${path}, or run this as that user`,
    grave: false,
  };
}

function verb(bits: number): string {
  const written = (bits & 0o022) !== 0;
  const who = (bits & 0o007) !== 0 ? "everybody" : "its group";
  return `${written ? "written" : "read"} by ${who}`;
}
