import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gatewaySettings } from "../../src/config/gateway.ts";
import { loadSettings } from "../../src/config/load.ts";
import { duration, oneOf, presence, whole } from "../../src/config/setting.ts";
import { temporaryFolder } from "../temporary.ts";

function load(
  flags: Record<string, string> = {},
  env: Record<string, string> = {},
  file?: string,
) {
  return loadSettings(gatewaySettings, { flags, env, file });
}

async function withFile(content: string, use: (path: string) => void): Promise<void> {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "sallyport.json");
  await writeFile(path, content);
  use(path);
}

Deno.test("a flag counts before the environment, that before the file, that before the default", async () => {
  await withFile(`{"domain": "https://file", "relay-name": "x"}`, (path) => {
    assert.throws(() => load({}, {}, path), {
      code: "config",
      message: /"relay-name" is no setting/,
    });
  });
  await withFile(`{"domain": "https://file"}`, (path) => {
    const env = { INFISICAL_DOMAIN: "https://env" };
    const all = load({ domain: "https://flag" }, env, path);
    assert.deepEqual([all.values.domain, all.from.domain], ["https://flag", "--domain"]);
    const two = load({}, env, path);
    assert.deepEqual([two.values.domain, two.from.domain], ["https://env", "INFISICAL_DOMAIN"]);
    const one = load({}, {}, path);
    assert.deepEqual([one.values.domain, one.from.domain], ["https://file", `"domain" in ${path}`]);
    const none = load();
    assert.deepEqual([none.values.domain, none.from.domain], [
      "https://app.infisical.com",
      "default",
    ]);
  });
});

Deno.test("the environment's names are the real CLI's", () => {
  const { values } = load({}, {
    INFISICAL_TOKEN: "t",
    INFISICAL_API_URL: "https://api",
    INFISICAL_RELAY_NAME: "r",
    INFISICAL_GATEWAY_NAME: "g",
    INFISICAL_AUTH_METHOD: "universal-auth",
    INFISICAL_UNIVERSAL_AUTH_CLIENT_ID: "id",
    INFISICAL_UNIVERSAL_AUTH_CLIENT_SECRET: "secret",
  });
  assert.deepEqual(
    [values.token, values.domain, values.relay, values.name, values.authMethod, values.clientId],
    ["t", "https://api", "r", "g", "universal-auth", "id"],
  );
  assert.equal(values.clientSecret, "secret");
});

Deno.test("an empty variable is as good as none", () => {
  assert.equal(load({}, { INFISICAL_TOKEN: "" }).values.token, undefined);
});

Deno.test("a bad value is named with its place and never quoted", () => {
  const secret = "hunter2hunter2";
  for (
    const [run, place] of [
      [() => load({ authMethod: secret }), /^--auth-method: it must be universal-auth$/],
      [() => load({}, { INFISICAL_AUTH_METHOD: secret }), /^INFISICAL_AUTH_METHOD: /],
      [() => load({ domain: " " }), /^--domain: it is empty$/],
    ] as const
  ) {
    assert.throws(
      run,
      (error: Error) => place.test(error.message) && !error.message.includes(secret),
    );
  }
});

Deno.test("a file that is missing, no JSON or no object is said so without quoting it", async () => {
  assert.throws(() => load({}, {}, "/no/such.json"), { code: "file", message: /no such file/ });
  for (
    const [content, said] of [
      [`{\n"token": hunter2}`, /not JSON/],
      [`["domain"]`, /not one object|kind that no setting has/],
      [`{"domain": {"a": 1}}`, /"domain" has a value of a kind/],
      [`{"domian": "x"}`, /"domian" is no setting/],
    ] as const
  ) {
    await withFile(content, (path) => {
      assert.throws(
        () => load({}, {}, path),
        (error: Error) => said.test(error.message) && !error.message.includes("hunter2"),
      );
    });
  }
});

Deno.test("times, numbers, words and switches are read as people write them", () => {
  for (const [text, ms] of [["500ms", 500], ["30", 30_000], ["1.5s", 1500], ["5m", 300_000]]) {
    assert.equal(duration.parse(text), ms);
  }
  assert.equal(duration.safeParse("soon").success, false);
  assert.equal(duration.safeParse("-1s").success, false);
  assert.equal(whole(1, 10).parse("10"), 10);
  for (const text of ["0", "11", "1.5", "x", ""]) {
    assert.equal(whole(1, 10).safeParse(text).success, false, text);
  }
  assert.equal(oneOf(["a", "b"]).safeParse("c").error?.issues[0]?.message, "it must be a or b");
  assert.deepEqual(["true", "1", "false"].map((text) => presence.parse(text)), [true, true, false]);
});
