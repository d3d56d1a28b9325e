/**
 * Header fields between two HTTP connections. Works on node's raw lists (name, value, name, value …),
 * so that order, spelling and repetition arrive as they were sent. Pure.
 */

/** One header field. */
export type Field = [name: string, value: string];

/** Fields that speak about one connection and end there (RFC 9110 §7.6.1). */
const HOP_BY_HOP = new Set([
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** Raw list → fields. */
export function fieldsOf(raw: readonly string[]): Field[] {
  const fields: Field[] = [];
  for (let i = 0; i + 1 < raw.length; i += 2) fields.push([raw[i]!, raw[i + 1]!]);
  return fields;
}

/** All values of a field, by its lower-case name. */
export function valuesOf(fields: readonly Field[], name: string): string[] {
  return fields.filter(([field]) => field.toLowerCase() === name).map(([, value]) => value);
}

/** What goes on to the next connection: no hop-by-hop field, and none that `Connection` names. */
export function endToEnd(fields: readonly Field[]): Field[] {
  const named = new Set(
    valuesOf(fields, "connection").flatMap((value) => value.split(","))
      .map((name) => name.trim().toLowerCase()),
  );
  return fields.filter(([name]) => {
    const lower = name.toLowerCase();
    // The length belongs to the message's framing: nobody can have it dropped by naming it.
    return lower === "content-length" || (!HOP_BY_HOP.has(lower) && !named.has(lower));
  });
}

/** Fields without those of the given lower-case names. */
export function without(fields: readonly Field[], ...names: string[]): Field[] {
  return fields.filter(([name]) => !names.includes(name.toLowerCase()));
}
