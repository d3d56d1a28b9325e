/**
 * Builds the binary: esbuild makes few files of the program, `deno compile` puts them into Deno's runtime.
 * The same source gives the same bytes.
 *
 *   deno task build         for this machine, at dist/sallyport
 *   deno task build --all   for Linux, macOS and Windows, at dist/sallyport-<target>
 *
 * Beside it: sallyport.cdx.json (the bill of materials), LICENSES.txt (what has to go with the binary) and
 * SHA256SUMS of all of them.
 *
 * With DENORT_BIN set, that runtime is used (for machines that cannot reach Deno's own host); it must
 * be one for the target. It is stripped of its symbols first where `strip` is there: a fifth less.
 */
import { build, type Metafile, type Plugin } from "esbuild";
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import config from "../deno.json" with { type: "json" };
import { compile, strippedRuntime } from "./compile.ts";
import { noticesOf, objectionTo } from "./supply/licences.ts";
import { type Package, readPackages } from "./supply/packages.ts";
import { billOfMaterials } from "./supply/sbom.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const DIST = join(ROOT, "dist");
const BUNDLE = join(DIST, "bundle");

const TARGETS = [
  "x86_64-unknown-linux-gnu",
  "aarch64-unknown-linux-gnu",
  "x86_64-apple-darwin",
  "aarch64-apple-darwin",
  "x86_64-pc-windows-msvc",
];

/** ssh2 looks for native add-ons and goes on without: they are made to be missing. */
const noNativeCode: Plugin = {
  name: "no-native-code",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /\.node$|^cpu-features$/ }, ({ path }) => ({ path, namespace: "native" }));
    onLoad({ filter: /.*/, namespace: "native" }, ({ path }) => ({
      contents: `throw new Error(${JSON.stringify(`no native code here: ${path}`)})`,
      loader: "js",
    }));
  },
};

/** zod speaks fifty languages, a quarter of a megabyte; its errors are shown in English. */
const onlyEnglish: Plugin = {
  name: "only-english",
  setup({ onLoad }) {
    onLoad({ filter: /zod[/\\]v4[/\\]locales[/\\]index\.js$/ }, () => ({
      contents: 'export { default as en } from "./en.js";',
      loader: "js",
    }));
  },
};

/**
 * Makes dist/bundle/main.js, which Deno also runs by itself, and files beside it for what a command loads
 * when it runs: a gateway reads nothing of the platform. Gives the packages whose code they hold.
 */
async function bundle(): Promise<Package[]> {
  const { metafile } = await build({
    absWorkingDir: ROOT,
    entryPoints: ["src/main.ts"],
    outdir: BUNDLE,
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "node",
    target: "esnext",
    minify: true,
    legalComments: "none",
    metafile: true,
    logLevel: "warning",
    plugins: [noNativeCode, onlyEnglish],
    banner: {
      js: 'const require=process.getBuiltinModule("node:module").createRequire(import.meta.url),' +
        '__dirname="/",__filename="/sallyport.js";',
    },
  });
  // Their times are put into the binary.
  for (const name of await readdir(BUNDLE)) await utimes(join(BUNDLE, name), 0, 0);
  return await packagesIn(metafile);
}

async function packagesIn({ outputs }: Metafile): Promise<Package[]> {
  const packages = await readPackages();
  const ids = Object.values(outputs).flatMap(({ inputs }) => Object.entries(inputs))
    .filter(([, { bytesInOutput }]) => bytesInOutput > 0)
    .flatMap(([path]) => /^node_modules\/\.deno\/([^/]+@[^/_]+)/.exec(path)?.[1] ?? [])
    .map((folder) => folder.replace("+", "/"));
  return [...new Set(ids)].sort().map((id) => {
    const one = packages.get(id);
    if (!one) throw new Error(`${id} is in the bundle and not in deno.lock`);
    const objection = objectionTo(one.installed?.licence ?? "", "binary");
    if (objection) throw new Error(`${id}: ${objection}`);
    return one;
  });
}

/** Writes what the binary is made of, and gives the files' names. */
async function writeAccount(packages: Package[]): Promise<string[]> {
  const { license: licence, version } = config;
  const runtime = Deno.version.deno;
  const bom = join(DIST, "sallyport.cdx.json");
  const notices = join(DIST, "LICENSES.txt");
  await writeFile(
    bom,
    billOfMaterials({ name: "sallyport", version, licence, runtime, packages }),
  );
  await writeFile(notices, noticesOf(packages, runtime));
  return [bom, notices];
}

/** As `sha256sum` writes them, so that `sha256sum --check` reads them. */
async function writeChecksums(files: string[]): Promise<void> {
  const lines = await Promise.all(files.map(async (file) => {
    const digest = createHash("sha256").update(await readFile(file)).digest("hex");
    return `${digest}  ${basename(file)}\n`;
  }));
  await writeFile(join(DIST, "SHA256SUMS"), lines.join(""));
}

async function main(all: boolean): Promise<number> {
  await rm(BUNDLE, { recursive: true, force: true });
  await mkdir(DIST, { recursive: true });
  const packages = await bundle();
  const given = process.env.DENORT_BIN;
  const stripped = join(DIST, "denort");
  const runtime = given && await strippedRuntime(given, stripped);
  const failed: string[] = [];
  const files: string[] = [];
  const wanted: (string | undefined)[] = all ? TARGETS : [undefined];
  for (const target of wanted) {
    const output = join(DIST, target ? `sallyport-${target}` : "sallyport");
    if (await compile(join(BUNDLE, "main.js"), output, { target, runtime })) {
      const file = (await readdir(DIST)).includes(`${basename(output)}.exe`)
        ? `${output}.exe`
        : output;
      console.log(`${file}  ${((await stat(file)).size / 1e6).toFixed(1)} MB`);
      files.push(file);
    } else {
      failed.push(target ?? "this machine");
    }
  }
  await rm(stripped, { force: true });
  files.push(...await writeAccount(packages));
  await writeChecksums(files);
  if (failed.length === 0) return 0;
  console.error(`not built for: ${failed.join(", ")}`);
  console.error("deno compile downloads the target's runtime; offline, give one in DENORT_BIN");
  return 1;
}

process.exit(await main(process.argv.includes("--all")));
