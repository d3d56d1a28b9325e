/**
 * The rules in force: one namespace is the gateway's host with the rules loaded, the other one is
 * everything outside. Traffic, listeners, gateway, platform and relay are real.
 */
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { cli } from "../../cli/run.ts";
import { inPath, labBinary, requirement, ROOT } from "../../requirements.ts";
import { temporaryFolder } from "../../temporary.ts";
import type { Place } from "./peer.ts";
import { EDGE, type Namespace, OUTSIDE, twoNamespaces } from "./two_namespaces.ts";

type HostFormat = "iptables" | "nftables";

const NEEDS = {
  iptables: requirement("ip", "namespaces", "iptables-restore"),
  nftables: requirement("ip", "namespaces", "nft"),
};
const LAB = requirement("go");

const PLATFORM = `http://${OUTSIDE.v4}:8080`;

/** What `sallyport firewall` prints. */
async function rules(...args: string[]): Promise<string> {
  const { status, out, err } = await cli(["firewall", "--domain", PLATFORM, ...args]);
  assert.equal(status, 0, err);
  return out;
}

/** Loads rules as their heading tells a person to. */
async function load(format: HostFormat, text: string, { run }: Namespace): Promise<void> {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "rules");
  await writeFile(path, text);
  if (format === "nftables") await run(inPath("nft")!, "-f", path);
  else await run("/bin/sh", path);
}

/** All rules of a namespace, as their tool lists them. */
async function ruleset(format: HostFormat, { run }: Namespace): Promise<string> {
  if (format === "nftables") return await run(inPath("nft")!, "list", "ruleset");
  return await run(inPath("iptables")!, "-S") + await run(inPath("ip6tables")!, "-S");
}

const tcp = (host: string, port: number): Place => ({ protocol: "tcp", host, port });
const udp = (host: string, port: number): Place => ({ protocol: "udp", host, port });

/** Allowed by the arguments below, and listened on. */
const WANTED = [
  tcp(OUTSIDE.v4, 8080),
  tcp(OUTSIDE.v4, 2222),
  tcp(OUTSIDE.v6, 2222),
  tcp(OUTSIDE.v4, 53),
  udp(OUTSIDE.v4, 53),
];
const ARGUMENTS = [
  ...["--relay", `${OUTSIDE.v4},${OUTSIDE.v6}`, "--dns", OUTSIDE.v4],
];
/** Near to what is allowed: another port, another host, another family, another protocol. */
const UNWANTED = [
  tcp(OUTSIDE.v4, 8443),
  tcp(OUTSIDE.other, 2222),
  tcp(OUTSIDE.other, 8080),
  tcp(OUTSIDE.v6, 8080),
  udp(OUTSIDE.v4, 2222),
  udp(OUTSIDE.other, 53),
  udp(OUTSIDE.v6, 53),
];

for (const format of ["iptables", "nftables"] as const) {
  Deno.test({
    name: `${format}, --only: what is named is reached, all else refused, answers go out`,
    ...NEEDS[format],
    async fn() {
      await using stack = new AsyncDisposableStack();
      const { edge, outside } = stack.use(await twoNamespaces());
      stack.use(await outside.listen([...WANTED, ...UNWANTED]));
      const own = [tcp(EDGE.v4, 7000), udp(EDGE.v4, 7000), tcp(EDGE.v6, 7000)];
      stack.use(await edge.listen([...own, tcp("127.0.0.1", 7001)]));
      const loopback = [tcp("127.0.0.1", 7001)];
      const before = await edge.probe([...WANTED, ...UNWANTED]);
      assert.deepEqual(new Set(before), new Set(["open"]));

      const text = await rules(...ARGUMENTS, "--only", "--format", format);
      await load(format, text, edge);
      const loaded = await ruleset(format, edge);
      await load(format, text, edge);
      assert.equal(await ruleset(format, edge), loaded, "loading again changes nothing");
      const after = await edge.probe([...WANTED, ...loopback, ...UNWANTED]);
      const reached = WANTED.length + loopback.length;
      assert.deepEqual(after, [
        ...Array(reached).fill("open"),
        ...Array(UNWANTED.length).fill("refused"),
      ]);
      assert.deepEqual(await outside.probe(own), ["open", "open", "open"]);
    },
  });

  Deno.test({
    name: `${format}: beside rules that refuse everything, what is named is let through`,
    ...NEEDS[format],
    async fn() {
      await using stack = new AsyncDisposableStack();
      const { edge, outside } = stack.use(await twoNamespaces());
      stack.use(await outside.listen([...WANTED, ...UNWANTED]));
      await load(format, STRICT[format], edge);
      const before = await edge.probe([...WANTED, ...UNWANTED]);
      assert.ok(!before.includes("open"), before.join());

      await load(format, await rules(...ARGUMENTS, "--format", format), edge);
      const after = await edge.probe([...WANTED, ...UNWANTED]);
      assert.deepEqual(after.slice(0, WANTED.length), Array(WANTED.length).fill("open"));
      assert.ok(!after.slice(WANTED.length).includes("open"), after.join());
    },
  });

  Deno.test({
    name:
      `${format}, --only: a gateway behind the rules has a tunnel, and an echo comes through it`,
    ignore: NEEDS[format].ignore || LAB.ignore,
    async fn() {
      await using stack = new AsyncDisposableStack();
      const folder = stack.use(await temporaryFolder());
      const { edge, outside } = stack.use(await twoNamespaces());
      const text = await rules("--relay", OUTSIDE.v4, "--only", "--format", format);
      await load(format, text, edge);

      const lab = await labBinary();
      stack.use(outside.start(lab, "platform", "-addr", `${OUTSIDE.v4}:8080`));
      await reachable(outside, tcp(OUTSIDE.v4, 8080));
      const relay = outside.start(
        ...[lab, "relay", "-api", PLATFORM, "-relay-name", "r1", "-host", OUTSIDE.v4] as const,
        ...["-ssh", `${OUTSIDE.v4}:2222`, "-tls", `${OUTSIDE.v4}:8443`],
      );
      stack.use(relay);
      await relay.line(/relay r1: ssh/);
      stack.use(edge.start(lab, "target", "-addr", "127.0.0.1:9100"));
      const gateway = edge.start(
        Deno.execPath(),
        ...["run", "--quiet", "--allow-all", "--no-check", join(ROOT, "src", "main.ts")],
        ...["gateway", "start", "edge", "--domain", PLATFORM, "--token", "tok", "--relay", "r1"],
        ...["--state-dir", folder.path, "--health-listen", "off"],
      );
      stack.use(gateway);
      assert.match(await gateway.line(/tunnel is up|trying again/), /tunnel is up/);
      const printed = await outside.run(
        ...[lab, "bench", "-api", PLATFORM, "-relay", `${OUTSIDE.v4}:8443`] as const,
        ...["-name", "edge", "-port", "9100", "-mode", "rtt", "-mb", "8"],
      );
      assert.match(printed, /^rtt n=8 /m);
      assert.deepEqual(await edge.probe([tcp(OUTSIDE.v4, 8443)]), ["refused"]);
    },
  });
}

/** A host whose administrator refuses everything outbound but loopback and IPv6's own messages. */
const STRICT = {
  iptables: `set -e
for t in iptables ip6tables; do $t -A OUTPUT -o lo -j ACCEPT; $t -P OUTPUT DROP; done
ip6tables -A OUTPUT -p ipv6-icmp -j ACCEPT
`,
  nftables: `table inet filter {
  chain output {
    type filter hook output priority filter; policy drop;
    oifname "lo" accept
    meta l4proto ipv6-icmp accept
  }
}
`,
};

/** Resolves once somebody answers there; a program that ends before is an error of its own. */
async function reachable({ run }: Namespace, { host, port }: Place): Promise<void> {
  await run(
    ...[
      "/usr/bin/env",
      "bash",
      "-c",
      `until : </dev/tcp/${host}/${port}; do sleep 0.05; done`,
    ] as const,
  );
}
