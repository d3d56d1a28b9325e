import assert from "node:assert/strict";
import fc from "fast-check";
import { withBlock, withoutBlock } from "../../src/service/crontab.ts";

const line = fc.stringMatching(/^[ -~]{0,30}$/);
const table = fc.array(line).map((lines) => lines.map((text) => `${text}\n`).join(""));

Deno.test("what is put into a crontab and taken out again leaves every other line as it was", () => {
  fc.assert(fc.property(table, fc.array(line, { minLength: 1 }), (others, ours) => {
    const entered = withBlock(others, "sallyport-a", ours);
    assert.ok(entered.startsWith(others));
    assert.equal(withBlock(entered, "sallyport-a", ours), entered);
    assert.equal(withoutBlock(entered, "sallyport-a"), others);
  }));
});

Deno.test("one service's lines are not another's, and new lines take the place of the old", () => {
  const one = withBlock("MAILTO=ada\n", "sallyport-a", ["@reboot a"]);
  const two = withBlock(one, "sallyport-a.b", ["@reboot b"]);
  assert.equal(withoutBlock(two, "sallyport-a.b"), one);
  const changed = withBlock(two, "sallyport-a", ["@reboot new"]);
  assert.equal(changed.match(/@reboot/g)?.length, 2);
  assert.doesNotMatch(changed, /@reboot a\n/);
});

Deno.test("a table whose last line lacks its end gets it, as cron demands", () => {
  assert.equal(
    withBlock("@daily x", "i", ["@reboot y"]),
    "@daily x\n# BEGIN i\n@reboot y\n# END i\n",
  );
});

Deno.test("a marker without its other half is left alone", () => {
  const damaged = "# BEGIN i\n@daily mine\n";
  assert.equal(withoutBlock(damaged, "i"), damaged);
});
