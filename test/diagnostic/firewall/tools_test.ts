/** The tools' own checks of rules of every kind, both families; nothing is loaded. */
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { FORMATS } from "../../../src/diagnostic/firewall/formats.ts";
import { inPath, requirement } from "../../requirements.ts";
import { temporaryFolder } from "../../temporary.ts";
import { POLICIES } from "./policies.ts";
import { twoNamespaces } from "./two_namespaces.ts";

const NFT = requirement("nft", "ip", "namespaces");
const IPTABLES = requirement("iptables-restore", "ip", "namespaces");

for (const kind of ["allow", "only"] as const) {
  Deno.test({
    name: `nft --check takes the nftables file, ${kind}`,
    ...NFT,
    async fn() {
      await using folder = await temporaryFolder();
      await using namespaces = await twoNamespaces();
      const path = join(folder.path, "rules");
      await writeFile(path, FORMATS.nftables(POLICIES[kind]));
      await namespaces.edge.run(inPath("nft")!, "--check", "--file", path);
      assert.equal(await namespaces.edge.run(inPath("nft")!, "list", "ruleset"), "");
    },
  });

  Deno.test({
    name: `iptables-restore and ip6tables-restore --test take the script's rules, ${kind}`,
    ...IPTABLES,
    async fn() {
      await using folder = await temporaryFolder();
      await using namespaces = await twoNamespaces();
      const script = FORMATS.iptables(POLICIES[kind]);
      const restores = [...script.matchAll(/^(ip6?tables-restore) .*\n([^]*?)\nRULES$/gm)];
      assert.deepEqual(restores.map(([, tool]) => tool), ["iptables-restore", "ip6tables-restore"]);
      for (const [, tool, rules] of restores) {
        const path = join(folder.path, "rules");
        await writeFile(path, `${rules}\n`);
        await namespaces.edge.run(inPath(tool!)!, "--test", "--noflush", path);
      }
    },
  });
}
