/** `sallyport firewall` as a person meets it. */
import assert from "node:assert/strict";
import { cli } from "./run.ts";

async function firewall(args: string[], env: Record<string, string> = {}) {
  return await cli(["firewall", ...args], { env });
}

const RELAY = ["--relay", "198.51.100.7"];
const PLATFORM = ["--address", "app.infisical.com=203.0.113.9"];

Deno.test("the ports are the relay's 2222 and the platform's 443, unless they are named", async () => {
  const rulesOf = async (...args: string[]) => {
    const { status, out, err } = await firewall([...args, "--json"]);
    assert.deepEqual([status, err], [0, ""]);
    return JSON.parse(out).rules.map(
      ({ host, port, addresses }: { host: string; port: number; addresses: string[] }) =>
        `${host} ${port} ${addresses}`,
    );
  };
  assert.deepEqual(await rulesOf(...RELAY, ...PLATFORM), [
    "app.infisical.com 443 203.0.113.9",
    "198.51.100.7 2222 198.51.100.7",
  ]);
  assert.deepEqual(
    await rulesOf(
      ...["--domain", "http://[2001:db8::1]:8080/api", "--relay", "r.example:2022,[2001:db8::2]"],
      ...["--address", "r.example=192.0.2.1,r.example=192.0.2.0/28"],
    ),
    [
      "2001:db8::1 8080 2001:db8::1",
      "r.example 2022 192.0.2.0/28,192.0.2.1",
      "2001:db8::2 2222 2001:db8::2",
    ],
  );
  assert.deepEqual(await rulesOf(...RELAY, "--domain", "http://192.0.2.1"), [
    "192.0.2.1 80 192.0.2.1",
    "198.51.100.7 2222 198.51.100.7",
  ]);
});

Deno.test("a name is looked up, and the time of it is told", async () => {
  const { status, out } = await firewall([
    ...["--domain", "http://localhost:8080", ...RELAY, "--format", "nftables"],
  ]);
  assert.equal(status, 0);
  assert.match(out, /^# localhost had these addresses at 20\d\d-.*Z: .*(127\.0\.0\.1|::1)/m);
  assert.match(out, /may change/);
});

Deno.test("--dns system allows the machine's name servers, or says that it has none", async () => {
  const { status, out, err } = await firewall([...RELAY, ...PLATFORM, "--dns", "system", "--json"]);
  if (status === 2) return assert.match(err, /names no server but itself\n {2}give the addresses/);
  const { rules } = JSON.parse(out) as { rules: { id: string; port: number }[] };
  assert.deepEqual(rules.slice(2, 4).map(({ id, port }) => [id, port]), [
    ["dns-udp", 53],
    ["dns-tcp", 53],
  ]);
});

Deno.test("a letter is written where no format is named, and aws alone means its command line", async () => {
  assert.match((await firewall([...RELAY, ...PLATFORM])).out, /^Subject: /);
  const { out } = await firewall([...RELAY, ...PLATFORM, "--format", "aws"]);
  assert.match(out, /^aws ec2 authorize-security-group-egress /m);
});

Deno.test("a warning stands in the rules and on standard error, which a pipe leaves on the screen", async () => {
  const { status, out, err } = await firewall([
    ...[...RELAY, ...PLATFORM, "--only", "--format", "iptables"],
  ]);
  assert.equal(status, 0);
  assert.match(err, /^warning: No name server is allowed/);
  assert.match(out, /^# Warning: No name server is allowed/m);
});

for (
  const [args, said, status] of [
    [[], /the relay is not named\n {2}give its name or address with --relay/, 2],
    [["--relay", ","], /the relay is not named/, 2],
    [["--relay", "a b"], /--relay: "a b" is not a host and port; write host:port/, 2],
    [["--relay", "$(reboot)"], /--relay: "\$\(reboot\)" is not a host and port/, 2],
    [[...RELAY, "--also", "10.0.0.5/8"], /--also: .*behind its prefix/, 2],
    [[...RELAY, "--dns", "a;b"], /--dns: "a;b" is not a host and port/, 2],
    [[...RELAY, "--format", "nftable"], /there is no format "nftable"; did you mean nftables\?/, 2],
    [[...RELAY, "--format", "cisco-asa"], /there is no format "cisco-asa"; it must be text, /, 2],
    [[...RELAY, "--json", "--format", "pf"], /--json and --format pf are two formats/, 2],
    [
      [...RELAY, "--address", "ap.infisical.com=192.0.2.1"],
      /did you mean app\.infisical\.com\?/,
      2,
    ],
    [[...RELAY, "--domain", "ftp://x"], /not an http or https/, 2],
    [
      [...RELAY, "--frmat", "pf"],
      /--frmat\. Did you mean --format\?\n {2}see: sallyport firewall/,
      2,
    ],
    [
      [...PLATFORM, "--relay", "relay.invalid"],
      /relay\.invalid has no address: .*\n.*--address relay\.invalid=ADDRESS/,
      5,
    ],
  ] as const
) {
  Deno.test(`"firewall ${args.join(" ")}" is answered with what is wrong`, async () => {
    const outcome = await firewall([...args]);
    assert.match(outcome.err, said);
    assert.deepEqual([outcome.status, outcome.out], [status, ""]);
  });
}
