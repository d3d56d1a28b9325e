/** The compiled binary examines itself: nothing that doctor or a gateway asks of the system is forbidden it. */
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { rootCertificates } from "node:tls";
import type { CheckResult } from "../../src/diagnostic/doctor/check.ts";
import { runChild } from "../child.ts";
import { GATEWAY, HOST, prepare } from "../diagnostic/doctor/fixture.ts";
import { requirement } from "../requirements.ts";
import { BINARY, build } from "./built_binary.ts";

Deno.test({
  name: "the compiled binary's doctor finds all well, and knows the system's authorities",
  ...requirement("denort"),
  async fn() {
    await build();
    await using ground = await prepare({ tlsHost: HOST });
    const token = await ground.tokenFile("gateway", "client");
    const args = ["doctor", GATEWAY, "--json", ...ground.arguments, "--token", `@${token}`];
    const look = async (more: string[], env: Record<string, string>) => {
      const { status, out, err } = await runChild(BINARY, { args: [...args, ...more], env });
      assert.equal(status, 0, out + err);
      const { checks } = JSON.parse(out) as { checks: CheckResult[] };
      return Object.fromEntries(checks.map(({ id, status }) => [id, status]));
    };
    const own = await look(["--ca-file", ground.caFile], {});
    for (const id of ["platform-tls", "relay-login", "round-trip", "files"]) {
      assert.equal(own[id], "pass", JSON.stringify(own));
    }
    // The platform's authority in the place of the system's store; a flag keeps it from being --ca-file.
    const other = join(ground.folder, "other.pem");
    await writeFile(other, rootCertificates[0]!);
    const system = await look(["--ca-file", other], { SSL_CERT_FILE: ground.caFile });
    assert.equal(system["platform-tls"], "warn", JSON.stringify(system));
    assert.equal(system.api, "pass");
  },
});
