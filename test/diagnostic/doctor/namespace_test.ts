/** A real firewall in a network of its own: what it drops, rejects and has no route for is told apart. */
import assert from "node:assert/strict";
import { join } from "node:path";
import process from "node:process";
import type { CheckId, CheckResult } from "../../../src/diagnostic/doctor/check.ts";
import { runChild } from "../../child.ts";
import { inPath, requirement, ROOT } from "../../requirements.ts";

const RULES = `table inet filter {
  chain output {
    type filter hook output priority filter; policy accept;
    ip daddr 127.0.47.11 drop
    ip daddr 127.0.47.12 reject with tcp reset
    ip daddr 127.0.47.13 reject with icmp type admin-prohibited
  }
}
`;

async function namespace() {
  const name = `sp-dr-${process.pid}`;
  const ip = async (...args: string[]) => {
    const { status, out, err } = await runChild(inPath("ip")!, { args });
    assert.equal(status, 0, `ip ${args.join(" ")}: ${err}`);
    return out;
  };
  await ip("netns", "add", name);
  const dispose = async () => void await ip("netns", "delete", name);
  try {
    await ip("-n", name, "link", "set", "lo", "up");
    const shell = `printf '%s' "$1" | ${inPath("nft")} -f -`;
    await ip("netns", "exec", name, "/bin/sh", "-c", shell, "sh", RULES);
  } catch (error) {
    await dispose();
    throw error;
  }
  return {
    async doctor(...args: string[]) {
      const { status, out, err } = await runChild(inPath("ip")!, {
        args: [
          ...["netns", "exec", name, Deno.execPath(), "run", "--quiet", "--allow-all"],
          ...["--no-check", join(ROOT, "src", "main.ts"), "doctor", "edge-1", "--json"],
          ...["--token", "nobody-s-token", "--timeout", "500ms", ...args],
        ],
      });
      assert.equal(status, 1, out + err);
      const { checks } = JSON.parse(out) as { checks: CheckResult[] };
      return (id: CheckId) => checks.find((check) => check.id === id)!;
    },
    [Symbol.asyncDispose]: dispose,
  };
}

Deno.test({
  name: "nftables drops, rejects with a reset, with ICMP, and a host without a route",
  ...requirement("ip", "namespaces", "nft"),
  async fn() {
    await using host = await namespace();
    const dropped = await host.doctor(
      ...["--domain", "http://192.0.2.1", "--relay-address", "127.0.47.11"],
    );
    assert.match(dropped("platform-port").finding, /192\.0\.2\.1:80: this host has no route there/);
    assert.match(dropped("platform-port").remedy!, /default route/);
    assert.match(
      dropped("relay-port").finding,
      /127\.0\.47\.11:2222: timed out, no answer within 500 ms/,
    );
    assert.match(
      dropped("relay-port").remedy!,
      /missing firewall rule: TCP to 127\.0\.47\.11 port 2222; printed by: sallyport firewall/,
    );
    const rejected = await host.doctor(
      ...["--domain", "http://127.0.47.12:8080", "--relay-address", "127.0.47.13"],
    );
    assert.match(rejected("platform-port").finding, /refuses the connection/);
    assert.match(rejected("relay-port").finding, /firewall rejects it with ICMP/);
    const named = await host.doctor("--domain", "https://platform.example");
    assert.match(named("platform-name").finding, /name server does not answer|no such host/);
  },
});
