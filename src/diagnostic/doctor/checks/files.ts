/** Files with secrets are this user's and nobody else's; the configuration is written by no other. */
import { stat } from "node:fs/promises";
import process from "node:process";
import type { SecretSource } from "../../../enroll/secret.ts";
import { StateFile } from "../../../enroll/state.ts";
import { type Check, fail, type Outcome, pass, skip, warn } from "../check.ts";
import type { DoctorContext } from "../context.ts";
import { type ModeFault, modeFault, type Rule } from "../file_modes.ts";

/** See above. */
export const files: Check = {
  id: "files",
  title: "file permissions",
  needs: [],
  async run(context) {
    if (process.platform === "win32") return skip("access lists of Windows are not looked at");
    const uid = process.getuid?.() ?? 0;
    const faults: ModeFault[] = [];
    let seen = 0;
    const hidden: string[] = [];
    for (const { path, rule } of filesOf(context)) {
      const found = await stat(path).catch((error) => {
        // What is missing is told by the check that needs it, or is made by the gateway.
        const { code } = error as { code?: string };
        if (code === "EACCES") hidden.push(path);
        else if (code !== "ENOENT") throw error;
        return undefined;
      });
      if (!found) continue;
      seen++;
      const fault = modeFault({ path, mode: found.mode, owner: found.uid }, rule, uid);
      if (fault) faults.push(fault);
    }
    return faults.length > 0
      ? told(faults)
      : seen === 0
      ? skip("there are no files of this gateway yet")
      : pass(
        `${seen} file${seen === 1 ? " is" : "s are"} closed to others, as ${
          seen === 1 ? "it" : "they"
        } should be`,
      );
  },
};

function told(faults: ModeFault[]): Outcome {
  const finding = faults.map((fault) => fault.finding).join("; ");
  const remedy = faults.map((fault) => fault.remedy).join("; ");
  return faults.some(({ grave }) => grave) ? fail(finding, remedy, "file") : warn(finding, remedy);
}

function filesOf(context: DoctorContext): { path: string; rule: Rule }[] {
  const { stateDir, name, configFile, secretInConfig, clientToken } = context;
  const secrets = [...secretsOf(context), ...(clientToken ? [clientToken] : [])];
  return [
    ...secrets.filter(({ kind }) => kind === "file")
      .map(({ where }) => ({ path: where, rule: "secret" as const })),
    { path: new StateFile(stateDir, name).path, rule: "state" },
    { path: stateDir, rule: "folder" },
    ...(configFile === undefined
      ? []
      : [{ path: configFile, rule: secretInConfig ? "secret" as const : "config" as const }]),
  ];
}

/** Without a way in there are none; that is the finding of another check. */
function secretsOf({ auth }: DoctorContext): SecretSource[] {
  try {
    const given = auth();
    if (given.method === "universal-auth") return [given.clientSecret];
    return given.token ? [given.token] : [];
  } catch {
    return [];
  }
}
