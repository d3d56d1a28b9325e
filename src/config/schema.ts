/** JSON Schema (draft 2020-12) of a configuration file, from the settings themselves. Pure. */
import { type FileType, fileTypeOf, keyOf, type Setting, type Settings } from "./setting.ts";

/** One key of the schema. */
interface Property extends Omit<FileType, "type"> {
  type: FileType["type"] | readonly ["string", "array"];
  items?: { type: "string" };
  description: string;
  default?: string | number;
  writeOnly?: true;
}

/** A schema of files for `commands`, which is their settings by their names. */
export function configSchema(commands: Record<string, Settings>): Record<string, unknown> {
  const found = new Map<string, Map<string, Setting>>();
  for (const [command, settings] of Object.entries(commands)) {
    for (const setting of Object.values(settings)) {
      const users = found.get(keyOf(setting)) ?? new Map<string, Setting>();
      found.set(keyOf(setting), users.set(command, setting));
    }
  }
  const keys = [...found].sort(([a], [b]) => a < b ? -1 : 1);
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "sallyport configuration",
    type: "object",
    additionalProperties: false,
    properties: {
      $schema: { type: "string" },
      ...Object.fromEntries(keys.map(([key, users]) => [key, propertyOf(users)])),
    },
  };
}

/** Commands that mean the same by a key share its description. */
function propertyOf(users: Map<string, Setting>): Property | { anyOf: Property[] } {
  const kinds = new Map<string, { property: Property; commands: string[] }>();
  for (const [command, setting] of users) {
    const property = describe(setting);
    const kind = kinds.get(JSON.stringify(property)) ?? { property, commands: [] };
    kind.commands.push(command);
    kinds.set(JSON.stringify(property), kind);
  }
  const properties = [...kinds.values()].map(({ property, commands }) => ({
    ...property,
    description: `${commands.join(", ")}: ${property.description}`,
  }));
  return properties.length === 1 ? properties[0]! : { anyOf: properties };
}

function describe(
  { schema, help, env = [], default: fallback, secret, repeatable }: Setting,
): Property {
  const type = fileTypeOf(schema);
  return {
    ...type,
    ...(repeatable && { type: ["string", "array"] as const, items: { type: "string" } as const }),
    description: env.length > 0 ? `${help} [${env.join(", ")}]` : help,
    ...(fallback !== undefined && { default: type.type === "integer" ? +fallback : fallback }),
    ...(secret && { writeOnly: true }),
  };
}
