/** The gateway's service, if one is installed: whether it runs, and what with. */
import { type Check, fail, pass, skip, warn } from "../check.ts";
import { installedService } from "../installed.ts";

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
    const { id, identity: { manager, scope }, config, running, text } = found;
    const user = scope === "user" ? " --user" : "";
    if (!running) {
      const said = text.split("\n").map((line) => line.trim()).find((line) =>
        /^(Active|state|Status)\b/.test(line)
      );
      return fail(
        `${id} (${manager}) does not run${said ? `: ${said}` : ""}`,
        `sallyport service start ${name}${user}; its log` +
          (manager === "systemd"
            ? `: journalctl${user} --unit ${id}`
            : " is named in docs/operate.md"),
        "service",
      );
    }
    if (configFile !== config) {
      return warn(
        `${id} (${manager}) runs, with settings of its own that were not looked at here`,
        `to check what it uses: sallyport doctor ${name} --config ${config}`,
      );
    }
    return pass(`${id} (${manager}) runs, with ${config}`);
  },
};
