/** Help, version, manual page and completion: whatever tells of the command line itself. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmod, writeFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import process from "node:process";
import { root } from "../../src/cli/cli.ts";
import { isGroup, leaves, walk } from "../../src/cli/command_tree.ts";
import { EXIT_STATUSES } from "../../src/cli/help.ts";
import { EXIT } from "../../src/errors.ts";
import { VERSION } from "../../src/version.ts";
import { inPath, requirement, ROOT } from "../requirements.ts";
import { temporaryFolder } from "../temporary.ts";
import { cli } from "./run.ts";

const COMMANDS = leaves(root.usage);

Deno.test("every command has help with a usage line, in lines that fit and end without blanks", async () => {
  assert.ok(COMMANDS.length > 15, COMMANDS.join("\n"));
  for (const words of COMMANDS) {
    const { status, out, err } = await cli([...words, "--help"]);
    assert.deepEqual([status, err], [0, ""], words.join(" "));
    assert.ok(out.includes(`\nUsage: sallyport ${words.join(" ")}`), out);
    assert.match(out, /^[A-Z]/);
    for (const line of out.split("\n")) {
      assert.doesNotMatch(line, /\s$/, words.join(" "));
      // An example is one line, so that it can be copied.
      if (!line.startsWith("  sallyport ")) assert.ok(line.length <= 100, line);
    }
  }
});

Deno.test("help fits a narrow terminal, and has colours only on one that wants them", async () => {
  const narrow = await cli(["--help"], {
    terminal: { columns: () => 60, rows: () => 24, colours: false },
  });
  assert.ok(Math.max(...narrow.out.split("\n").map((line) => line.length)) <= 82, narrow.out);
  assert.ok(!narrow.out.includes("\x1b"));
  for (const columns of [0, 1]) {
    assert.equal(
      (await cli(["--help"], {
        terminal: {
          columns: () => columns,
          rows: () => 24,
          colours: false,
        },
      })).status,
      0,
    );
  }
  const coloured = await cli(["--help"], {
    terminal: { columns: () => 100, rows: () => 24, colours: true },
  });
  assert.ok(coloured.out.includes("\x1b["));
  assert.ok(!(await cli(["--help"])).out.includes("\x1b"));
});

Deno.test("the help of the whole has examples and every exit status", async () => {
  const { out } = await cli(["--help"]);
  assert.match(out, /\nExamples:\n {2}sallyport demo\n/);
  for (const status of Object.values(EXIT)) {
    assert.match(out, new RegExp(`^ {2}${status} +\\w`, "m"));
  }
  assert.deepEqual(
    EXIT_STATUSES.map(([status]) => status),
    Object.values(EXIT).sort((a, b) => a - b),
  );
});

Deno.test("commands are told from groups, and are found at the front of arguments", () => {
  const groups = [[], ["gateway"], ["platform", "token"], ["config", "check"]];
  for (const args of groups) assert.equal(isGroup(root.usage, args), true, args.join(" "));
  for (const args of [["gateway", "start"], ["demo"], ["nonsense"], ["gateway", "x"], ["--help"]]) {
    assert.equal(isGroup(root.usage, args), false, args.join(" "));
  }
  assert.deepEqual(walk(root.usage, ["gateway", "start", "start"]).commands, ["gateway", "start"]);
});

Deno.test("a flag without its value is no misspelling, and a second name is the same flag", async () => {
  const { err } = await cli(["gateway", "start", "e", "--token"]);
  assert.match(
    err,
    /^sallyport: --token requires SECRET\n {2}see: sallyport gateway start --help\n$/,
  );
  const twice = await cli(["gateway", "start", "e", "--proxy-name", "a", "--relay", "b"]);
  assert.match(twice.err, /--relay cannot be used multiple times/);
});

Deno.test("version says what the program is made of, as JSON", async () => {
  assert.equal((await cli(["version"])).out, `${VERSION}\n`);
  assert.equal((await cli(["-V"])).out, `${VERSION}\n`);
  const { out } = await cli(["version", "--json"]);
  assert.deepEqual(JSON.parse(out), {
    version: VERSION,
    os: Deno.build.os,
    arch: Deno.build.arch,
    compiled: false,
    deno: Deno.version.deno,
    v8: Deno.version.v8,
  });
});

Deno.test("the manual page has every command and every flag of the help", async () => {
  const { out } = await cli(["man"]);
  for (const words of COMMANDS) {
    const name = `sallyport ${words.join(" ")}`;
    assert.ok(out.includes(`\n.SS "${name}`), name);
    const help = (await cli([...words, "--help"])).out;
    for (const [flag] of help.matchAll(/(?<=^ {2})--[\w-]+/gm)) {
      assert.ok(out.includes(`\\fB${flag.replaceAll("-", "\\-")}\\fR`), `${name} ${flag}`);
    }
  }
  // deno-lint-ignore no-control-regex
  assert.match(out, /^[\x00-\x7f]*$/);
});

Deno.test({
  name: "groff takes the manual page without a warning",
  ...requirement("groff"),
  async fn() {
    const { out } = await cli(["man"]);
    const { stdout, stderr, status } = spawnSync(
      inPath("groff")!,
      ["-man", "-ww", "-Tutf8", "-P-cbou"],
      { input: out, encoding: "utf8" },
    );
    assert.deepEqual([status, stderr], [0, ""]);
    assert.match(stdout, /^ +sallyport gateway start --token @\/etc|gateway start edge-1/m);
  },
});

const SHELLS = ["bash", "zsh", "fish", "pwsh", "powershell"];

Deno.test("there is a completion script for each shell, and another one is refused with their names", async () => {
  for (const shell of SHELLS) {
    const { status, out } = await cli(["completion", shell]);
    assert.equal(status, 0, shell);
    assert.match(out, /sallyport/);
  }
  const { status, err } = await cli(["completion", "csh"]);
  assert.equal(status, 2);
  assert.match(err, /csh.*bash.*fish.*zsh[^]*see: sallyport completion --help/);
});

Deno.test({
  name: "bash completes commands, flags, words and files",
  ignore: process.platform === "win32" || inPath("bash") === undefined,
  async fn() {
    await using folder = await temporaryFolder();
    const program = join(folder.path, "sallyport");
    const main = join(ROOT, "src", "main.ts");
    await writeFile(
      program,
      `#!/bin/sh\nexec '${Deno.execPath()}' run --quiet --allow-all --no-check '${main}' "$@"\n`,
    );
    await chmod(program, 0o755);
    await writeFile(join(folder.path, "authorities.pem"), "");
    const { stdout, stderr } = spawnSync("bash", [
      "--norc",
      "-c",
      `
      source <(sallyport completion bash)
      complete_it() {
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=\${#COMP_LINE}
        COMPREPLY=(); _sallyport; echo "\${COMPREPLY[*]}"
      }
      complete_it sallyport gat
      complete_it sallyport gateway start --log-l
      complete_it sallyport gateway start --log-level w
      complete_it sallyport gateway start --ca-file ${folder.path}/auth
    `,
    ], {
      encoding: "utf8",
      env: { ...process.env, PATH: `${folder.path}${delimiter}${process.env.PATH}` },
    });
    assert.deepEqual(stdout.trim().split("\n"), [
      "gateway",
      "--log-level",
      "warn",
      join(folder.path, "authorities.pem"),
    ], stderr);
  },
});
