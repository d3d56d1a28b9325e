import assert from "node:assert/strict";
import { SallyportError } from "../../../src/errors.ts";
import { parseGivenAddress } from "../../../src/diagnostic/firewall/endpoint.ts";
import { nameServers } from "../../../src/diagnostic/firewall/name_servers.ts";
import { formatNetwork } from "../../../src/diagnostic/firewall/network.ts";
import { resolveAll } from "../../../src/diagnostic/firewall/resolve.ts";

const platform = { purpose: "platform", host: "app.example", port: 443 } as const;
const relay = { purpose: "relay", host: "198.51.100.7", port: 2222 } as const;

Deno.test("every address of a name counts, and addresses are taken as they are", async () => {
  const asked: string[] = [];
  const found = await resolveAll([platform, relay], {
    given: [],
    lookup(name) {
      asked.push(name);
      return Promise.resolve(["2001:db8::1", "192.0.2.2", "192.0.2.1", "192.0.2.2"]);
    },
  });
  assert.deepEqual(asked, ["app.example"]);
  assert.deepEqual(
    found.map(({ networks, resolved }) => [networks.map(formatNetwork), resolved]),
    [[["192.0.2.1", "192.0.2.2", "2001:db8::1"], true], [["198.51.100.7"], false]],
  );
});

Deno.test("a name whose addresses are given is not looked up", async () => {
  const [found] = await resolveAll([platform], {
    given: ["app.example=192.0.2.0/24", "app.example=2001:db8::1"].map(parseGivenAddress),
    lookup: () => Promise.reject(new Error("looked up")),
  });
  assert.deepEqual(found!.networks.map(formatNetwork), ["192.0.2.0/24", "2001:db8::1"]);
  assert.equal(found!.resolved, false);
});

Deno.test("an address for a name that no rule is about is a slip, and the near name is shown", async () => {
  const options = { lookup: () => Promise.resolve(["192.0.2.1"]) };
  await assert.rejects(
    resolveAll([platform], { given: [parseGivenAddress("ap.example=192.0.2.1")], ...options }),
    { code: "usage", message: /"ap\.example"/, hint: "did you mean app.example?" },
  );
  await assert.rejects(
    resolveAll([platform], { given: [parseGivenAddress("zzzzzzzzzz=192.0.2.1")], ...options }),
    { hint: "names here: app.example" },
  );
});

Deno.test("what the resolver says is passed on", async () => {
  const lookup = () => Promise.reject(new SallyportError("name-resolution", "no such host"));
  await assert.rejects(resolveAll([platform], { given: [], lookup }), { code: "name-resolution" });
});

Deno.test("a resolver on loopback is replaced by those that it asks itself", () => {
  const upstream =
    "# kept by systemd-resolved\nnameserver 10.0.0.2\nnameserver fd00::2\nsearch a\n";
  assert.deepEqual(nameServers(["10.1.1.1", "10.1.1.1", "127.0.0.1"], upstream), ["10.1.1.1"]);
  assert.deepEqual(nameServers(["127.0.0.53", "::1"], upstream), ["10.0.0.2", "fd00::2"]);
  assert.deepEqual(nameServers(["127.0.0.53"], ""), []);
  assert.deepEqual(nameServers(["1.1.1.1:5353", "fe80::1%eth0"], "nameserver 127.0.0.1"), []);
});
