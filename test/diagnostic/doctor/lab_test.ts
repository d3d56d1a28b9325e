/** The independent relay and platform in Go: what doctor says of them, and that it disturbs nobody. */
import assert from "node:assert/strict";
import { labPlatform, startTestGateway, startTestRelay } from "../../interop/lab_system.ts";
import { requirement } from "../../requirements.ts";
import { examine } from "./fixture.ts";

const LAB_HOST = "127.0.47.21";

Deno.test({
  name: "the lab's relay proves itself, takes a login, and refuses a second one beside a gateway's",
  ...requirement("go"),
  async fn() {
    await using stack = new AsyncDisposableStack();
    const platform = stack.use(await labPlatform("rsa", LAB_HOST));
    stack.use(await startTestRelay("lab", platform, LAB_HOST));
    const args = [
      ...["--domain", platform.url, "--token", platform.token, "--target-relay-name", "r1"],
      ...["--state-dir", "/nonexistent", "--health-listen", `${LAB_HOST}:9`],
    ];
    const look = () => examine(args, { gateway: "edge" });
    const alone = await look();
    assert.equal(alone.status, 0, alone.text);
    assert.equal(alone.of("host-certificate").status, "pass");
    assert.equal(alone.of("relay-login").status, "pass", alone.text);

    stack.use(await startTestGateway("lab", platform));
    const beside = await look();
    assert.equal(beside.of("host-certificate").status, "pass");
    assert.equal(beside.of("relay-login").status, "fail", beside.text);
    assert.match(beside.of("relay-login").finding, /hung up/);
    assert.match(beside.of("relay-login").remedy!, /older connection of this gateway/);
    const no = await examine([...args, "--login", "no"], { gateway: "edge" });
    assert.equal(no.status, 0, no.text);
  },
});
