/** The gateway's service, if one is installed: whether it runs, and what with. */
import { type Check, fail, pass, skip, warn } from "../check.ts";
import { askManager, installedService } from "../installed.ts";

/** See above. */
export const service: Check = {
  id: "service",
  title: "service",
  needs: [],
  async run(context) {
    const { name, configFile } = context;
    const found = await installedService(context);
    if (!found) {
      return skip(
        "no service of this gateway is installed on this host",
        `to have it started at every boot: sallyport service install ${name}`,
      );
    }
    const { identity: { id, manager, scope }, places: { config, log } } = found;
    const user = scope === "user" ? " --user" : "";
    const { running, text } = await askManager(found, context);
    if (!running) {
      const said = text.split("\n").map((line) => line.trim()).find((line) =>
        /^(Active|state|Status)\b/.test(line)
      );
      return fail(
        `${id} (${manager}) does not run${said ? `: ${said}` : ""}`,
        `sallyport service start ${name}${user}; its log: ` +
          (manager === "systemd" ? `journalctl${user} --unit ${id}` : log),
        "service",
      );
    }
    if (configFile !== config) {
      return warn(
        `${id} (${manager}) runs, with ${config}, which was not looked at here`,
        "leave out --config to check what the service uses",
      );
    }
    return pass(`${id} (${manager}) runs, with ${config}`);
  },
};
