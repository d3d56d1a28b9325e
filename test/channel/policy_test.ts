/** The target policy as a function: what it decides, and that spelling changes nothing. */
import assert from "node:assert/strict";
import { BlockList, isIP } from "node:net";
import fc from "fast-check";
import {
  decide,
  OPEN_POLICY,
  type Question,
  readRules,
  type TargetPolicy,
} from "../../src/channel/policy.ts";
import type { Rule } from "../../src/channel/policy_rule.ts";

function policy(allow = "", deny = "", health?: TargetPolicy["health"]): TargetPolicy {
  return { allow: rules(allow), deny: rules(deny), health };
}

function rules(text: string): Rule[] {
  if (text === "") return [];
  const read = readRules(text);
  assert.ok(typeof read !== "string", String(read));
  return read;
}

/** `host=address:port`, or only `address:port`. */
function question(text: string): Question {
  const [, name, address, port] = /^(?:(.*)=)?(.*):(\d+)$/.exec(text)!;
  return { host: name ?? address!, address: address!, port: Number(port) };
}

const HEALTH = { host: "127.0.0.1", port: 8222 };

const CASES: [allow: string, deny: string, asked: string, allowed: boolean, why: RegExp][] = [
  ["", "", "10.0.0.1:5432", true, /no rule speaks of it/],
  ["", "", "db=127.0.0.1:5432", true, /no rule speaks of it/],
  ["", "10.0.0.0/8", "10.9.9.9:1", false, /by --deny 10\.0\.0\.0\/8/],
  ["", "10.0.0.0/8", "11.0.0.1:1", true, /no rule/],
  ["10.0.0.1", "10.0.0.0/8", "10.0.0.1:1", false, /by --deny/],
  ["10.0.0.0/8:5432", "", "10.0.0.1:5432", true, /by --allow 10\.0\.0\.0\/8:5432/],
  ["10.0.0.0/8:5432", "", "10.0.0.1:5433", false, /no --allow covers it/],
  ["10.0.0.0/8:8000-8999", "", "10.0.0.1:8999", true, /by --allow/],
  ["10.0.0.0/8:8000-8999", "", "10.0.0.1:9000", false, /no --allow/],
  ["10.0.0.1, 10.0.0.2", "", "10.0.0.2:1", true, /by --allow 10\.0\.0\.2/],
  ["*:443", "", "x=192.0.2.1:443", true, /by --allow \*:443/],
  [":443", "", "x=192.0.2.1:80", false, /no --allow/],
  ["", "*:25", "x=192.0.2.1:25", false, /by --deny \*:25/],
  ["[fd00::/8]:443", "", "fd00::7:443", true, /by --allow/],
  ["[fd00::]/8:443", "", "fd00::7:443", true, /by --allow/],
  ["fd00::/8", "", "fc00::7:443", false, /no --allow/],
  ["db.internal:5432", "", "db.internal=10.0.0.1:5432", true, /by --allow/],
  ["db.internal:5432", "", "DB.Internal.=10.0.0.1:5432", true, /by --allow/],
  ["db.internal", "", "db.internal.evil.example=10.0.0.1:1", false, /no --allow/],
  ["*.internal", "", "a.b.internal=10.0.0.1:1", true, /by --allow/],
  ["*.internal", "", "internal=10.0.0.1:1", false, /no --allow/],
  ["*.internal", "", "xinternal=10.0.0.1:1", false, /no --allow/],
  ["db-*.internal", "", "db-7.internal=10.0.0.1:1", true, /by --allow/],
  ["db-*.internal", "", "db-7.evil.internal=10.0.0.1:1", false, /no --allow/],
  ["bücher.example", "", "xn--bcher-kva.example=10.0.0.1:1", true, /by --allow/],
  ["", "db.internal", "ｄｂ．internal=10.0.0.1:1", false, /by --deny/],
  ["*", "", "x=10.0.0.1:1", true, /by --allow/],
  // An address that is asked for is no name.
  ["*.0.0.x1", "", "10.0.0.1:1", false, /no --allow/],
  // The reserved ones want to be given themselves.
  ["*", "", "169.254.169.254:80", false, /metadata/],
  ["0.0.0.0/0", "", "169.254.169.254:80", false, /metadata/],
  ["169.254.169.254", "", "169.254.169.254:80", true, /by --allow/],
  ["169.254.169.254:443", "", "169.254.169.254:80", false, /metadata/],
  ["169.254.169.254", "169.254.0.0/16", "169.254.169.254:80", false, /by --deny/],
  ["metadata.internal", "", "metadata.internal=169.254.169.254:80", false, /metadata/],
  ["169.254.0.0/16", "", "169.254.7.7:80", true, /by --allow/],
  ["169.254.0.0/16", "", "169.254.169.254:80", false, /metadata/],
  ["", "", "fe80::1%eth0:80", false, /link-local/],
  ["fe80::/10", "", "fe80::1%eth0:80", true, /by --allow/],
  ["::/0", "", "ff02::1:80", false, /multicast/],
  ["", "", "224.0.0.1:80", false, /multicast/],
  ["", "", "255.255.255.255:80", false, /broadcast/],
  ["", "", "100.100.100.200:80", false, /metadata/],
  ["", "", "168.63.129.16:80", false, /metadata/],
  ["", "", "fd00:ec2::254:80", false, /metadata/],
  // Health.
  ["", "", "127.0.0.1:8222", false, /health/],
  ["127.0.0.0/8", "", "127.0.0.1:8222", false, /health/],
  ["*:8222", "", "localhost=127.0.0.1:8222", false, /health/],
  ["127.0.0.1", "", "127.0.0.1:8222", false, /health/],
  ["127.0.0.1:8222", "", "127.0.0.1:8222", true, /by --allow/],
  ["", "", "127.0.0.1:8223", true, /no rule/],
  // An address of zeros is this host.
  ["", "", "0.0.0.0:8222", false, /health/],
  ["", "127.0.0.0/8", "0.0.0.0:80", false, /by --deny/],
  ["", "::1", ":::80", false, /by --deny/],
  // What a translator or tunnel makes of it.
  ["", "", "64:ff9b::a9fe:a9fe:80", false, /metadata/],
  ["", "10.0.0.0/8", "2002:a00:1:::80", false, /by --deny/],
  ["10.0.0.0/8", "", "64:ff9b::a00:1:80", false, /no --allow/],
  ["", "", "not an address:80", false, /is not an address/],
];

for (const [allow, deny, asked, allowed, why] of CASES) {
  const title = [
    asked,
    allowed ? "is allowed" : "is refused",
    allow && `with --allow ${allow}`,
    deny && `with --deny ${deny}`,
  ];
  Deno.test(title.filter(Boolean).join(" "), () => {
    const verdict = decide(policy(allow, deny, HEALTH), question(asked));
    assert.equal(verdict.allowed, allowed, verdict.why);
    assert.match(verdict.why, why);
  });
}

Deno.test("health that is served everywhere is refused at loopback and wherever the host meets itself", () => {
  for (const host of ["0.0.0.0", "::"]) {
    const everywhere = policy("", "", { host, port: 8222 });
    const ask = (address: string, here?: boolean) =>
      decide(everywhere, { host: "x", address, port: 8222, here }).allowed;
    assert.deepEqual([ask("127.0.0.1"), ask("127.7.7.7"), ask("::1")], [false, false, false]);
    assert.deepEqual([ask("192.0.2.7", true), ask("192.0.2.7", false)], [false, true]);
  }
});

for (
  const [text, fault] of [
    ["10.0.0.1/8", /first address/],
    ["10.0.0.0/33", /0 to 32 bits/],
    ["fd00::/129", /0 to 128 bits/],
    ["10.0.0.0/", /bits/],
    ["10.0.0.0/8/8", /not an address or a network/],
    ["::ffff:0.0.0.0/90", /networks of their own/],
    ["fe80::1%eth0", /not an address or/],
    ["", /it holds no rule/],
    [" , ,", /it holds no rule/],
    ["db:0", /neither a port nor a range/],
    ["db:70000", /neither a port/],
    ["db:9-8", /neither a port/],
    ["db:", /neither a port/],
    ["2130706433", /all its parts/],
    ["0x7f.1", /all its parts/],
    ["10.1:80", /all its parts/],
    ["http://db", /./],
    ["a b", /neither a name/],
    ["*internal*..x", /neither a name/],
    ["ok, [x]:1", /not an address or/],
  ] as const
) {
  Deno.test(`the rule "${text}" is refused with its reason`, () => {
    const read = readRules(text);
    assert.equal(typeof read, "string");
    assert.match(read as string, fault);
  });
}

// Addresses near each other, so that rules and questions meet often.
const v4 = fc.tuple(
  fc.constantFrom(10, 127, 169, 192, 224, 255, 0),
  fc.constantFrom(0, 254, 255),
  fc.constantFrom(0, 169, 255),
  fc.constantFrom(0, 1, 254, 255),
).map((parts) => parts.join("."));
const v6 = fc.oneof(
  fc.ipV6(),
  fc.constantFrom("fe80::1", "fd00:ec2::254", "ff02::1", "::1", "::", "fd00::1", "64:ff9b::a00:1"),
);
const address = fc.oneof({ weight: 3, arbitrary: v4 }, v6);
const port = fc.constantFrom(1, 80, 443, 8222);
const host = fc.constantFrom("db.internal", "evil.example", "a.b.internal", "localhost");
const asked: fc.Arbitrary<Question> = fc.record({ host, address, port });
const place = fc.oneof(
  v4,
  fc.tuple(v4, fc.constantFrom(0, 8, 16)).map(([a, bits]) => {
    const kept = a.split(".").map((part, i) => (i < bits / 8 ? part : "0")).join(".");
    return `${kept}/${bits}`;
  }),
  fc.constantFrom("*", "*.internal", "db.internal", "[::/0]", "[fe80::/10]", "[ff00::/8]"),
);
const rule = fc.tuple(place, fc.option(port)).map(([p, n]) => (n === null ? p : `${p}:${n}`));
const ruleList = fc.array(rule, { maxLength: 4 }).map((list) => rules(list.join(",")));
const policies: fc.Arbitrary<TargetPolicy> = fc.record({
  allow: ruleList,
  deny: ruleList,
  health: fc.constantFrom(HEALTH, { host: "0.0.0.0", port: 8222 }, undefined),
});

/** Membership, judged by node's own implementation. */
function inRule({ text }: Rule, { host, address, port }: Question): boolean {
  const [, inBrackets, plain, ports] = /^(?:\[(.*)\]|(.*?))(?::(\d+))?$/.exec(text)!;
  if (ports !== undefined && Number(ports) !== port) return false;
  const target = inBrackets ?? plain ?? "";
  const [base = "", bits] = target.split("/");
  if (isIP(base) === 0) {
    const name = host.toLowerCase();
    return target === "*" || target === name ||
      (target.startsWith("*.") && name.endsWith(target.slice(1)));
  }
  const type = (of: string) => isIP(of) === 4 ? "ipv4" : "ipv6";
  const list = new BlockList();
  list.addSubnet(base, Number(bits ?? (isIP(base) === 4 ? 32 : 128)), type(base));
  return list.check(address, type(address));
}

Deno.test("whatever else is said, what a --deny covers is refused", () => {
  fc.assert(
    fc.property(policies, asked, (policy, q) => {
      if (policy.deny.some((rule) => inRule(rule, q))) {
        assert.equal(decide(policy, q).allowed, false);
      }
    }),
    { numRuns: 2000 },
  );
});

Deno.test("with any --allow, what is allowed is covered by one", () => {
  fc.assert(
    fc.property(policies, asked, (policy, q) => {
      fc.pre(policy.allow.length > 0 && !/^[0:.]+$/.test(q.address));
      if (decide(policy, q).allowed) assert.ok(policy.allow.some((rule) => inRule(rule, q)));
    }),
    { numRuns: 2000 },
  );
});

Deno.test("no rule for a name or for all makes a reserved address reachable", () => {
  const wide = ["*", "0.0.0.0/0", "[::/0]", "db.internal", "*:80"];
  const reserved = fc.constantFrom(
    ...["169.254.169.254", "169.254.0.1", "224.0.0.9", "255.255.255.255", "fe80::9", "ff0e::1"],
    ...["fd00:ec2::254", "64:ff9b::a9fe:a9fe", "::ffff:169.254.169.254", "2002:a9fe:a9fe::"],
  );
  fc.assert(fc.property(fc.subarray(wide), reserved, (allow, address) => {
    const verdict = decide(policy(allow.join(",")), { host: "db.internal", address, port: 80 });
    assert.equal(verdict.allowed, false);
  }));
});

Deno.test("an IPv4 address is judged alike in every spelling of IPv6", () => {
  fc.assert(fc.property(policies, asked, v4, (policy, q, address) => {
    const plain = decide(policy, { ...q, address });
    const hex = address.split(".").map((part) => Number(part).toString(16).padStart(2, "0"));
    const words = [hex.slice(0, 2).join(""), hex.slice(2).join("")];
    for (
      const spelled of [
        `::ffff:${address}`,
        `::FFFF:${address}`,
        `::ffff:${words.join(":")}`,
        `0:0:0:0:0:ffff:${words.join(":").toUpperCase()}`,
        `0000:0000:0000:0000:0000:ffff:${address}`,
      ]
    ) {
      assert.deepEqual(decide(policy, { ...q, address: spelled }), plain, spelled);
    }
  }));
});

Deno.test("without rules for names the name changes nothing", () => {
  fc.assert(fc.property(policies, asked, fc.string(), (policy, q, name) => {
    const nameless = (list: readonly Rule[]) => list.filter((rule) => !rule.name);
    const plain = { ...policy, allow: nameless(policy.allow), deny: nameless(policy.deny) };
    assert.deepEqual(decide(plain, { ...q, host: name }), decide(plain, q));
  }));
});

Deno.test("with no rules, private addresses are reachable", () => {
  for (const address of ["10.0.0.1", "192.168.1.1", "172.16.0.1", "127.0.0.1", "fd00::1", "::1"]) {
    assert.equal(decide(OPEN_POLICY, { host: address, address, port: 80 }).allowed, true, address);
  }
});

Deno.test("no text for a rule, a host or an address makes it throw", () => {
  const strange = fc.oneof(fc.string({ unit: "binary" }), fc.string(), place, fc.ipV6());
  fc.assert(
    fc.property(strange, strange, strange, (text, host, address) => {
      const read = readRules(text);
      const list = typeof read === "string" ? [] : read;
      decide({ allow: list, deny: list }, { host, address, port: 80 });
    }),
    { numRuns: 2000 },
  );
});
