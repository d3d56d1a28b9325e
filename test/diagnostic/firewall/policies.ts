/** Policies that tests write in every format. */
import type { Destination } from "../../../src/diagnostic/firewall/policy.ts";
import { makePolicy, type Policy } from "../../../src/diagnostic/firewall/policy.ts";
import { parseNetwork } from "../../../src/diagnostic/firewall/network.ts";

const destinations: Destination[] = [
  {
    purpose: "platform",
    host: "app.infisical.com",
    port: 443,
    networks: ["203.0.113.9", "203.0.113.10", "2001:db8::1"].map((text) => parseNetwork(text)!),
    resolved: true,
  },
  given("relay", "198.51.100.7", 2222),
  given("relay", "2001:db8::7", 2223),
  given("dns", "192.0.2.53", 53),
  given("also", "10.0.5.0/24", 5432),
  given("also", "10.0.9.9"),
];

function given(purpose: Destination["purpose"], host: string, port?: number): Destination {
  return { purpose, host, port, networks: [parseNetwork(host)!], resolved: false };
}

const madeAt = new Date("2026-01-02T03:04:05.000Z");

/** Both ways to make rules of the same destinations: every kind of rule, both families. */
export const POLICIES: Record<"allow" | "only", Policy> = {
  allow: makePolicy(destinations, { only: false, madeAt }),
  only: makePolicy(destinations, { only: true, madeAt }),
};
