import assert from "node:assert/strict";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { MANAGERS, placesOf, type Service } from "../../src/service/description.ts";
import {
  driveService,
  installService,
  queryService,
  uninstallService,
} from "../../src/service/install.ts";
import { planService } from "../../src/service/plan.ts";
import { managers } from "../../src/service/table.ts";
import { FakeHost, service } from "./fake_host.ts";

/** Paths of Windows do not make folders elsewhere. */
const KINDS = MANAGERS.filter((manager) => manager !== "windows")
  .flatMap((manager) => managers[manager].scopes.map((scope) => ({ manager, scope })));
const FOLDERS = ["etc/systemd/system", "etc/init.d", "var/lib", "var/log", "home/ada/.config"]
  .concat([
    "Library/LaunchDaemons",
    "Library/Application Support",
    "Library/Logs",
    "home/ada/Library/Logs",
  ])
  .concat(["home/ada/.local/state"]);
const isRoot = process.getuid?.() === 0;

async function hostWithOthers(): Promise<FakeHost> {
  const host = await FakeHost.create(...FOLDERS);
  await writeFile(join(host.root, "etc/init.d/other"), "#!/sbin/openrc-run\n", { mode: 0o755 });
  host.table = "MAILTO=ada\n@daily backup\n";
  return host;
}

/** What a service that has run leaves in its state folder and log. */
async function run(host: FakeHost, described: Service): Promise<void> {
  const { state, log } = placesOf(described);
  const folders = [state, ...managers[described.manager].remains?.(described) ?? []];
  for (const folder of folders) {
    await mkdir(join(host.root, folder), { recursive: true });
    await writeFile(join(host.root, folder, "gateway-edge-1.json"), "{}");
  }
  await mkdir(join(host.root, log, ".."), { recursive: true });
  await writeFile(join(host.root, log), "2030 INFO link: …\n");
}

for (const { manager, scope } of KINDS) {
  const described = service(manager, { scope });

  Deno.test(`${manager}, ${scope}: installed, run and uninstalled, the machine is as it was`, async () => {
    await using host = await hostWithOthers();
    const before = [await host.tree(), host.table];
    await installService(planService(described), host);
    assert.notDeepEqual(await host.tree(), before[0]);
    await run(host, described);
    await uninstallService(described, host);
    const after = await host.tree();
    // A private folder of systemd's own stays for other services of its kind.
    delete after["/var/lib/private"];
    assert.deepEqual([after, host.table], before);
  });

  Deno.test(`${manager}, ${scope}: whatever fails, the machine is as it was`, async () => {
    await using host = await hostWithOthers();
    await installService(planService(described), host);
    const commands = host.commands.length;
    await uninstallService(described, host);
    const before = [await host.tree(), host.table];
    for (let nth = 0; nth < commands; nth++) {
      let count = 0;
      let failed = "";
      host.fails = (command) => {
        if (command.endsWith("-l") || failed !== "" || count++ !== nth) return false;
        failed = command;
        return true;
      };
      const outcome = await installService(planService(described), host).then(() => "done", String);
      if (outcome === "done") {
        // What may fail is no failure.
        await uninstallService(described, host);
      } else {
        assert.match(outcome, /failed with status 1: it failed/);
      }
      assert.deepEqual([await host.tree(), host.table], before, failed);
    }
  });

  Deno.test(`${manager}, ${scope}: installed again it is brought up to date, and a failure keeps the old`, async () => {
    await using host = await hostWithOthers();
    const before = [await host.tree(), host.table];
    await installService(planService(described), host);
    const first = await host.tree();
    await installService(planService(described), host);
    assert.deepEqual(await host.tree(), first);
    const changed = { ...described, settings: { domain: "https://other" }, authorities: undefined };
    const last = planService(changed).commands.install.at(-1)!.run.join(" ");
    let once = true;
    host.fails = (command) => command === last && once && !(once = false);
    await assert.rejects(installService(planService(changed), host), { code: "service" });
    assert.deepEqual(await host.tree(), first);
    await installService(planService(changed), host);
    const second = await host.tree();
    assert.ok(
      !Object.keys(second).some((path) => path.endsWith(".ca.pem")),
      "a file of old is left",
    );
    assert.match(second[placesOf(described).config]!, /https:\/\/other/);
    await uninstallService(described, host);
    assert.deepEqual([await host.tree(), host.table], before);
  });

  Deno.test(`${manager}, ${scope}: a secret is in files that one account can read, and nowhere else`, async () => {
    await using host = await hostWithOthers();
    await installService(planService(described), host);
    const holding = Object.entries(await host.tree())
      .filter(([, text]) => text.includes("hunter2hunter2"));
    assert.deepEqual(holding.map(([, text]) => text.slice(0, 4)), ["600 "]);
    assert.ok(!host.commands.join().includes("hunter2"));
    assert.ok(!host.table?.includes("hunter2"));
  });
}

Deno.test("state that is to be kept is kept, and found again", async () => {
  await using host = await hostWithOthers();
  const described = service("cron");
  await installService(planService(described), host);
  await run(host, described);
  await uninstallService(described, host, { keepState: true });
  const left = Object.keys(await host.tree());
  assert.ok(left.includes("/var/lib/sallyport-edge-1/gateway-edge-1.json"));
  assert.ok(!left.some((path) => path.includes("etc/sallyport")));
  await installService(planService(described), host);
});

Deno.test({
  name: "what a named account needs belongs to it; an account that is not there is said",
  ignore: !isRoot,
  async fn() {
    await using host = await hostWithOthers();
    const plan = planService(service("openrc", { runAs: "gate" }));
    await installService(plan, host);
    const tree = await host.tree();
    assert.match(tree["/etc/sallyport/sallyport-edge-1.token"]!, /^600 gate hunter2/);
    assert.match(tree["/var/lib/sallyport-edge-1"]!, /^700 gate folder/);
    host.fails = (command) => command.startsWith("id ");
    await assert.rejects(installService(plan, host), {
      code: "service",
      message: 'there is no account "gate"',
    });
  },
});

Deno.test("a service of another manager is not overwritten", async () => {
  await using host = await hostWithOthers();
  await installService(planService(service("cron")), host);
  await assert.rejects(installService(planService(service("systemd")), host), {
    code: "service",
    message: "sallyport-edge-1 is installed with cron",
  });
});

Deno.test("two services share a folder, and the last one to go takes it along", async () => {
  await using host = await hostWithOthers();
  const before = await host.tree();
  const second = service("systemd", { id: "sallyport-edge-2", name: "edge-2" });
  await installService(planService(service("systemd")), host);
  await installService(planService(second), host);
  await uninstallService(service("systemd"), host);
  assert.ok((await host.tree())["/etc/sallyport/sallyport-edge-2.token"]);
  await uninstallService(second, host);
  assert.deepEqual(await host.tree(), before);
});

Deno.test("what is not installed cannot be started, stopped, queried or uninstalled", async () => {
  await using host = await hostWithOthers();
  const it = service("systemd");
  for (
    const act of [
      () => driveService(it, "start", host),
      () => driveService(it, "stop", host),
      () => queryService(it, host),
      () => uninstallService(it, host),
    ]
  ) {
    await assert.rejects(act(), { code: "service", message: "sallyport-edge-1 is not installed" });
  }
  assert.deepEqual(host.commands, []);
});

Deno.test("start, stop and status are the manager's own", async () => {
  await using host = await hostWithOthers();
  const it = service("systemd", { scope: "user" });
  await installService(planService(it), host);
  host.commands.length = 0;
  await driveService(it, "start", host);
  await driveService(it, "stop", host);
  host.fails = () => true;
  assert.deepEqual(await queryService(it, host), { running: false, text: "it failed" });
  assert.deepEqual(host.commands, [
    "systemctl --user start sallyport-edge-1.service",
    "systemctl --user stop sallyport-edge-1.service",
    "systemctl --user status --no-pager sallyport-edge-1.service",
  ]);
});

Deno.test("a manifest that is damaged is said so", async () => {
  await using host = await hostWithOthers();
  const it = service("systemd");
  await installService(planService(it), host);
  const path = join(host.root, placesOf(it).manifest);
  await rm(path);
  await writeFile(path, "{");
  await assert.rejects(uninstallService(it, host), { message: /installed\.json is damaged/ });
});
