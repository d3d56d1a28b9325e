/** The managers' own tools, or others that know their formats, judge what is written for them. */
import assert from "node:assert/strict";
import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { placesOf, type Service } from "../../src/service/description.ts";
import type { PlannedFile } from "../../src/service/manager.ts";
import { planService } from "../../src/service/plan.ts";
import { systemRunner } from "../../src/service/runner.ts";
import { runChild } from "../child.ts";
import { requirement } from "../requirements.ts";
import { temporaryFolder } from "../temporary.ts";
import { service } from "./fake_host.ts";

/** Words that every format has to quote. */
const AWKWARD = { binary: `/opt/a & b's "100%" <$HOME>/sallyport` };

function fileOf(described: Service, ending: string): PlannedFile {
  return planService(described).files.find(({ path }) => path.endsWith(ending))!;
}

const run = systemRunner(new AbortController().signal);

for (const scope of ["system", "user"] as const) {
  for (
    const more of [{}, { credentials: "environment" }, { role: "relay", lowPort: true }] as const
  ) {
    Deno.test({
      name: `systemd-analyze finds nothing wrong: ${scope} ${JSON.stringify(more)}`,
      ...requirement("systemd-analyze"),
      async fn() {
        await using folder = await temporaryFolder();
        const binary = "/bin/true";
        const { text, path } = fileOf(service("systemd", { scope, binary, ...more }), ".service");
        const unit = join(folder.path, path.split("/").at(-1)!);
        await writeFile(unit, text);
        const { status, err } = await runChild("systemd-analyze", {
          args: [...(scope === "user" ? ["--user"] : []), "verify", unit],
          env: { XDG_RUNTIME_DIR: folder.path },
        });
        assert.deepEqual([status, err], [0, ""]);
      },
    });
  }
}

Deno.test({
  name: "systemd-analyze rates what the unit leaves open to the service at 1.1 of 10 or less",
  ...requirement("systemd-analyze"),
  async fn() {
    await using folder = await temporaryFolder();
    const unit = join(folder.path, "sallyport-edge-1.service");
    await writeFile(unit, fileOf(service("systemd"), ".service").text);
    const args = ["security", "--offline=true", "--no-pager", "--threshold=11", unit];
    const { status, out } = await runChild("systemd-analyze", { args });
    assert.equal(status, 0, out);
  },
});

Deno.test({
  name: "a property list says to a parser what it says to us",
  ...requirement("python3"),
  async fn() {
    await using folder = await temporaryFolder();
    const described = service("launchd", { ...AWKWARD, runAs: "gate" });
    const file = join(folder.path, "a.plist");
    await writeFile(file, fileOf(described, ".plist").text);
    const parse =
      "import json,plistlib,sys;print(json.dumps(plistlib.load(open(sys.argv[1],'rb'))))";
    const { out, err } = await runChild("python3", { args: ["-c", parse, file] });
    assert.equal(err, "");
    const { config, log } = placesOf(described);
    assert.deepEqual(JSON.parse(out), {
      Label: "sallyport-edge-1",
      ProgramArguments: [AWKWARD.binary, "gateway", "start", "edge-1", "--config", config],
      RunAtLoad: true,
      KeepAlive: true,
      ThrottleInterval: 10,
      ExitTimeOut: 25,
      ProcessType: "Background",
      Umask: 0o077,
      SoftResourceLimits: { Core: 0 },
      HardResourceLimits: { Core: 0 },
      UserName: "gate",
      StandardOutPath: log,
      StandardErrorPath: log,
    });
  },
});

Deno.test({
  name: "a task is XML in UTF-16 that says to a parser what it says to us",
  ...requirement("python3"),
  async fn() {
    await using folder = await temporaryFolder();
    const described = service("windows", { binary: "C:\\Program Files\\a & b\\sallyport.exe" });
    const { text, encoding } = fileOf(described, ".xml");
    const file = join(folder.path, "a.xml");
    await writeFile(file, Buffer.from(text, encoding));
    const parse = "import sys,xml.etree.ElementTree as e\n" +
      "for n in e.parse(sys.argv[1]).iter():\n" +
      " t=(n.text or '').strip()\n" +
      " if t: print(n.tag.split('}')[1]+'='+t)";
    const { out, err } = await runChild("python3", { args: ["-c", parse, file] });
    assert.equal(err, "");
    const lines = out.split("\n");
    for (
      const line of [
        "UserId=S-1-5-19",
        "RunLevel=LeastPrivilege",
        "ExecutionTimeLimit=PT0S",
        "Command=%SystemRoot%\\System32\\cmd.exe",
        'Arguments=/d /s /c ""C:\\Program Files\\a & b\\sallyport.exe" gateway start edge-1 ' +
        "--config C:\\ProgramData\\sallyport\\sallyport-edge-1.json " +
        '>>C:\\ProgramData\\sallyport\\sallyport-edge-1\\sallyport.log 2>&1"',
      ]
    ) assert.ok(lines.includes(line), `${line}\n${out}`);
  },
});

Deno.test({
  name: "crontab takes the lines, also of a folder with a percent sign",
  ...requirement("crontab"),
  async fn() {
    for (const home of ["/home/ada", "/home/100% ada's"]) {
      const plan = planService(service("cron", { scope: "user", home }));
      const table = `${plan.commands.crontab!.lines.join("\n")}\n`;
      const { status, err } = await run(["crontab", "-n", "-"], table);
      assert.equal(status, 0, err);
      assert.doesNotMatch(table, /[^\\]%/);
      assert.equal((await run(["crontab", "-n", "-"], "* * * sallyport\n")).status, 1);
    }
  },
});

Deno.test({
  name: "shells read the scripts of cron and OpenRC",
  ignore: process.platform === "win32",
  async fn() {
    for (const manager of ["cron", "openrc"] as const) {
      const { text } = fileOf(
        service(manager, AWKWARD),
        manager === "cron" ? ".sh" : "/sallyport-edge-1",
      );
      const { status, err } = await run(["sh", "-n"], text);
      assert.deepEqual([status, err], [0, ""]);
    }
    const { text } = fileOf(service("openrc", AWKWARD), "/sallyport-edge-1");
    // OpenRC evaluates the arguments once more.
    const script = `${text}\neval set -- "$command_args"; printf '%s\\n' "$command" "$@"`;
    assert.equal(
      (await run(["sh"], script)).out,
      [AWKWARD.binary, ...["gateway", "start", "edge-1", "--config"]]
        .concat("/etc/sallyport/sallyport-edge-1.json\n").join("\n"),
    );
  },
});

Deno.test({
  name:
    "cron's script runs the service once, as cron starts it again each minute, until it is stopped",
  ...requirement("flock"),
  async fn() {
    await using folder = await temporaryFolder();
    const home = join(folder.path, "it's 100% here");
    const binary = join(folder.path, "sallyport");
    // In place of the gateway: notes that it was started, and waits.
    await writeFile(binary, '#!/bin/sh\necho started "$@"\nexec sleep 60\n');
    await chmod(binary, 0o755);
    const described = service("cron", { scope: "user", home, binary, stopTimeout: 5000 });
    const { state, log } = placesOf(described);
    const { path, text } = fileOf(described, ".sh");
    await mkdir(state, { recursive: true });
    await mkdir(join(path, ".."), { recursive: true });
    await writeFile(path, text);
    const script = (verb: string) => run(["sh", path, verb]);
    const started = async () => (await readFile(log, "utf8")).match(/started/g)?.length ?? 0;

    assert.equal((await script("status")).status, 3);
    await script("start");
    while (!(await script("status")).out.includes("runs")) await script("start");
    try {
      while (await started().catch(() => 0) === 0) await script("status");
      for (const verb of ["watch", "boot", "start", "watch"]) {
        assert.equal((await script(verb)).status, 0, verb);
      }
      assert.equal(await started(), 1);
      assert.match(
        await readFile(log, "utf8"),
        /started gateway start edge-1 --config .*100% here/,
      );
    } finally {
      await script("stop");
    }
    assert.equal((await script("status")).status, 3);
    // What was stopped on purpose stays so until the next boot.
    await script("watch");
    assert.equal((await script("status")).status, 3);
    const booted = script("boot");
    // Its log, not its status: who asks for that holds the lock for a moment.
    while (await started() < 2) await new Promise((resolve) => setTimeout(resolve, 20));
    assert.match((await script("status")).out, /runs/);
    await script("stop");
    await booted;
    assert.equal(await started(), 2);
  },
});
