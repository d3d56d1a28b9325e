/** docs/troubleshoot.md: its commands run, its lines are what doctor says, its checks are all there are. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { cli } from "../../cli/run.ts";
import { CHECKS } from "../../../src/diagnostic/doctor/checks.ts";
import { ROOT } from "../../requirements.ts";
import { temporaryFolder } from "../../temporary.ts";

const page = readFileSync(join(ROOT, "docs", "troubleshoot.md"), "utf8");
const rows = page.split("\n").filter((line) => line.startsWith("|"))
  .map((line) => line.split("|").slice(1, -1).map((cell) => cell.trim()));

const indented = page.split("\n")
  .map((line) => /^ {4}(?:sudo )?((?:HTTPS_PROXY=\S+ )?sallyport .*)$/.exec(line)?.[1])
  .filter((command) => command !== undefined);
const inline = [...page.matchAll(/`(sallyport (?:doctor|firewall) [^`]+)`/g)].map((match) =>
  match[1]!
);

/** Nobody outside is called: the platform is a closed port of this host, names have an address. */
async function run(command: string, folder: string) {
  const words = command.replace(/ > \S+$/, "").split(" ")
    .map((word) => word.replace(/^@(.*)$/, `@${folder}/$1`));
  const env: Record<string, string> = { HOME: folder };
  const proxy = /^(HTTPS_PROXY)=(.*)$/.exec(words[0]!);
  if (proxy) env[proxy[1]!] = words.shift()!.replace(/.*=.*/, "http://127.0.47.1:9");
  const args = words.slice(1).map((word) =>
    word.startsWith("https://")
      ? "http://127.0.47.1:9"
      : word.replace("relay.example", "127.0.47.2")
  );
  if (args[0] === "doctor" && !args.includes("--domain")) {
    args.push("--domain", "http://127.0.47.1:9");
  }
  if (args[0] === "firewall") args.push("--address", "app.infisical.com=192.0.2.1");
  return await cli(args, { env });
}

Deno.test("the page lists every check, in order, with its line", () => {
  const listed = rows.filter(([, id]) => /^`[a-z-]+`$/.test(id ?? ""))
    .map(([title, id]) => [title, id!.slice(1, -1)]);
  listed.shift();
  assert.deepEqual(listed, CHECKS.map(({ title, id }) => [title, id]));
});

Deno.test("what doctor is said to say are its own words", () => {
  const from = rows.findIndex(([first]) => first === "symptom");
  const table = rows.slice(from + 2);
  assert.ok(table.length >= 20);
  const sources = ["diagnostic", "enroll", "egress", "link", "certificates", "ssh"]
    .flatMap((room) =>
      readdirSync(join(ROOT, "src", room), { recursive: true })
        .map((path) => join(ROOT, "src", room, String(path)))
    )
    .filter((path) => path.endsWith(".ts"))
    .map((path) => readFileSync(path, "utf8")).join("\n")
    // A text that is written over two lines.
    .replace(/["`] \+\s*["`]/g, "");
  const unsaid: string[] = [];
  for (const [symptom, says] of table) {
    const [title, words] = says!.split(/: (.*)/s);
    assert.ok(CHECKS.some((check) => check.title === title), `${symptom}: ${says}`);
    if (!sources.includes(words!)) unsaid.push(says!);
  }
  assert.deepEqual(unsaid, []);
});

for (const command of new Set([...indented, ...inline])) {
  Deno.test(`docs/troubleshoot.md: ${command}`, async () => {
    await using folder = await temporaryFolder();
    for (const name of ["token", "my-token"]) {
      await writeFile(join(folder.path, name), "nobody-s-token", { mode: 0o600 });
    }
    const { status, out, err } = await run(command, folder.path);
    assert.equal(err, "");
    // There is no platform at that port, which is what doctor must find.
    const expected = command.includes("doctor") ? 1 : 0;
    assert.equal(status, expected, out);
  });
}
