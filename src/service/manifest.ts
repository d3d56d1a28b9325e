/** What was installed, as uninstall has to know it: written beside the configuration. */
import * as z from "zod";
import { SallyportError } from "../errors.ts";
import { MANAGERS } from "./description.ts";

const schema = z.object({
  version: z.literal(1),
  manager: z.enum(MANAGERS),
  scope: z.enum(["system", "user"]),
  runAs: z.string().optional(),
  files: z.array(z.string()),
  /** Folders that were not there before. */
  folders: z.array(z.string()),
});

/** What was installed. */
export type Manifest = Omit<z.infer<typeof schema>, "version">;

/** The manifest's text. */
export function writeManifest(manifest: Manifest): string {
  return `${JSON.stringify({ version: 1, ...manifest }, null, 2)}\n`;
}

/** Reads what `writeManifest` wrote. Throws `service` if it is damaged. */
export function readManifest(text: string, path: string): Manifest {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    json = undefined;
  }
  const result = schema.safeParse(json);
  if (!result.success) {
    throw new SallyportError("service", `${path} is damaged`, {
      hint: "install the service again, which writes it anew, or remove its files by hand",
    });
  }
  const { version: _, ...manifest } = result.data;
  return manifest;
}
