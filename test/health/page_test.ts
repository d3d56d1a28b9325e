/** The page as a person meets it, in Debian's Chromium. SALLYPORT_TEST_PICTURES=DIR keeps pictures. */
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { secretSource } from "../../src/enroll/secret.ts";
import { SallyportError } from "../../src/errors.ts";
import { healthApp } from "../../src/health/app.ts";
import { History } from "../../src/health/history.ts";
import { type HealthServer, serveHealth } from "../../src/health/server.ts";
import { startGateway } from "../../src/link/gateway.ts";
import { LinkState } from "../../src/link/state.ts";
import { fakeServer, json } from "../fake_server.ts";
import { SmallRelay } from "../link/small_relay.ts";
import { requirement } from "../requirements.ts";
import { temporaryFolder } from "../temporary.ts";
import { type Browser, type Page, startChromium, type View } from "./chromium.ts";

const { ignore } = requirement("chromium");
const WIDE: View = { width: 1000, height: 1200, scheme: "light" };
const NARROW: View = { width: 360, height: 740, scheme: "dark" };

const saysState = (word: string) => `document.getElementById("state").textContent === "${word}"`;
const textOf = (id: string) => `document.getElementById("${id}").textContent`;

/** A link that is up, with names as long as they come. */
function linkUp(): { state: LinkState; carry(bytesIn: number, bytesOut: number): void } {
  const state = new LinkState("edge-in-the-basement-of-building-12");
  const carried = { bytesIn: 0, bytesOut: 0 };
  state.measureBy({
    channels: () => ({ open: 3, served: 1284, failed: 7, refused: 2, ...carried }),
    latency: () => 18.44,
  });
  const relay = "relay-eu-central-1.infrastructure.example.com:2222";
  state.update({
    phase: "up",
    relay: { name: "relay-eu-central-1", address: relay },
    heartbeat: new Date(),
    certificatesEnd: new Date(Date.now() + 86_400_000),
    nextRenewal: new Date(Date.now() + 21_600_000),
  });
  return {
    state,
    carry(bytesIn, bytesOut) {
      carried.bytesIn += bytesIn;
      carried.bytesOut += bytesOut;
    },
  };
}

const LOST = new SallyportError("ssh-closed", "no sign of life for 10000 ms", {
  hint: "let out TCP 2222 to the relay",
});

async function keepPicture(page: Page, name: string): Promise<void> {
  const folder = process.env.SALLYPORT_TEST_PICTURES;
  if (folder) await writeFile(join(folder, `${name}.png`), await page.picture());
}

/** Nothing is wider than the window, and nothing is cut off. */
async function fits(page: Page, width: number): Promise<void> {
  const outside = await page.evaluate<string[]>(`[...document.querySelectorAll("body *")]
    .filter((e) => e.getBoundingClientRect().right > ${width} + 0.5 || e.scrollWidth > e.clientWidth + 1
      && getComputedStyle(e).display !== "inline" && e.clientWidth > 0)
    .map((e) => e.tagName + "#" + e.id)`);
  assert.deepEqual(outside, []);
  assert.equal(await page.evaluate("document.documentElement.scrollWidth"), width);
}

async function together(
  view: View,
  work: (
    all: { browser: Browser; page: Page; server: HealthServer } & ReturnType<typeof linkUp>,
  ) => Promise<void>,
): Promise<void> {
  const link = linkUp();
  const server = (await serveHealth(link.state, "127.0.46.10:0"))!;
  try {
    await using browser = await startChromium();
    await using page = await browser.open(`http://${server.address}/`, view);
    await work({ browser, page, server, ...link });
  } finally {
    await server.close();
  }
}

Deno.test({
  name: "the page shows a live tunnel, its loss and its recovery, without being loaded again",
  ignore,
  fn: () =>
    together(WIDE, async ({ page, state, carry, server }) => {
      await page.until(saysState("Up"));
      await page.evaluate("window.still = true");
      assert.equal(await page.evaluate(textOf("gateway")), "edge-in-the-basement-of-building-12");
      assert.equal(await page.evaluate(textOf("latency")), "18.4 ms to relay");
      assert.equal(await page.evaluate(textOf("open")), "3 open");
      assert.match(await page.evaluate("document.title"), /^Up · edge-in/);
      carry(5_000_000, 80_000_000);
      await page.until(`${textOf("rate-out")}.endsWith("MB/s")`);
      const good = await page.evaluate(
        `getComputedStyle(document.querySelector(".lamp")).backgroundColor`,
      );
      await keepPicture(page, "up");

      state.fault(LOST, "down");
      await page.until(saysState("Down"));
      assert.equal(
        await page.evaluate(textOf("reason")),
        "The tunnel is down: no sign of life for 10000 ms",
      );
      assert.equal(await page.evaluate(textOf("hint")), "Let out TCP 2222 to the relay");
      const bad = await page.evaluate(
        `getComputedStyle(document.querySelector(".lamp")).backgroundColor`,
      );
      assert.notEqual(bad, good);
      await page.until(`/Tunnel lost: no sign of life/.test(${textOf("events")})`);
      await keepPicture(page, "down");

      state.update({ phase: "connecting" });
      await page.until(saysState("Connecting"));
      state.update({ phase: "up", reconnects: 1 });
      await page.until(saysState("Up"));
      await page.until(`/Tunnel up again/.test(${textOf("events")})`);
      assert.equal(await page.evaluate(textOf("hint")), "");
      assert.equal(await page.evaluate("window.still"), true, "the page was loaded again");
      assert.deepEqual(page.complaints, []);
      const elsewhere = page.requests.filter((url) => !url.startsWith(`http://${server.address}/`));
      assert.deepEqual(elsewhere.filter((url) => !url.startsWith("data:")), []);
    }),
});

Deno.test({
  name: "a gateway that goes away is said not to answer, and is shown again when it is back",
  ignore,
  async fn() {
    const { state } = linkUp();
    const first = (await serveHealth(state, "127.0.46.11:0"))!;
    await using browser = await startChromium();
    await using page = await browser.open(`http://${first.address}/`, WIDE);
    await page.until(saysState("Up"));
    await first.close();
    await page.until(saysState("Not answering"));
    assert.equal(await page.evaluate(textOf("relay")), "relay-eu-central-1", "the last is kept");
    await keepPicture(page, "silent");
    const second = (await serveHealth(state, first.address))!;
    await page.until(saysState("Up"));
    await second.close();
    // That nobody answered is the browser's complaint, and the only one.
    for (const complaint of page.complaints) assert.match(complaint, /net::ERR_/);
  },
});

Deno.test({
  name: "the page of a real gateway shows how its relay dies and is joined again",
  ignore,
  async fn() {
    let away = false;
    await using relay = await SmallRelay.start({
      onSession: (session) => away && session.close(),
    });
    const registration = await relay.registration();
    await using platform = fakeServer(() => json(registration));
    await using folder = await temporaryFolder();
    const stop = new AbortController();
    const gateway = await startGateway({
      name: "edge-1",
      domain: platform.url,
      auth: { method: "token", token: secretSource("T") },
      relayName: "r1",
      stateDir: folder.path,
      healthListen: "127.0.46.13:0",
      backoff: { base: 50, cap: 100 },
    }, stop.signal);
    try {
      await using browser = await startChromium();
      await using page = await browser.open(`http://${gateway.healthAddress}/`, WIDE);
      await page.until(saysState("Up"));
      assert.match(await page.evaluate(textOf("latency")), /^[\d.]+ ms to relay$/);
      away = true;
      relay.kill();
      await page.until(`["Down", "Connecting"].includes(${textOf("state")})`);
      await page.until(`/Tunnel lost: connection lost/.test(${textOf("events")})`);
      await page.until(`/hung up \\(\\d+ times\\)/.test(${textOf("events")})`);
      away = false;
      await page.until(saysState("Up"));
      await page.until(`/Tunnel up again through r1/.test(${textOf("events")})`);
      assert.deepEqual(page.complaints, []);
    } finally {
      stop.abort();
      await gateway.finished;
    }
  },
});

for (
  const view of [
    NARROW,
    { ...NARROW, scheme: "light" } as View,
    { ...WIDE, scheme: "dark" } as View,
  ]
) {
  Deno.test({
    name: `the page fits ${view.width} px, in ${view.scheme} colours that can be read, up and down`,
    ignore,
    fn: () =>
      together(view, async ({ page, state }) => {
        await page.until(saysState("Up"));
        await fits(page, view.width);
        await keepPicture(page, `up-${view.width}-${view.scheme}`);
        state.fault(
          new SallyportError(
            "relay-unreachable",
            `relay ${"x".repeat(200)}: connection timed out`,
            {
              hint: "let out TCP 2222 to the relay; sallyport firewall writes the rules",
            },
          ),
          "down",
        );
        await page.until(saysState("Down"));
        await page.until(`/Tunnel lost/.test(${textOf("events")})`);
        await fits(page, view.width);
        await keepPicture(page, `down-${view.width}-${view.scheme}`);
        assert.deepEqual(await page.evaluate(FAINT), []);
        assert.deepEqual(page.complaints, []);
      }),
  });
}

/** Texts whose contrast to what is behind them is below WCAG's AA (4.5). */
const FAINT = `(() => {
  const light = (colour) => {
    const [r, g, b] = colour.match(/[\\d.]+/g).map(Number).map((c) => c / 255)
      .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const colour = getComputedStyle(e).backgroundColor;
      if (!/, 0\\)$/.test(colour)) return colour;
    }
  };
  return [...document.querySelectorAll("main *")]
    .filter((e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()))
    .map((e) => {
      const [a, b] = [light(getComputedStyle(e).color), light(behind(e))].sort((x, y) => y - x);
      return [(a + 0.05) / (b + 0.05), e.textContent];
    })
    .filter(([contrast]) => contrast < 4.5);
})()`;

Deno.test({
  name: "what stands in an error or a name is text, never markup",
  ignore,
  async fn() {
    const evil =
      `<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>`;
    const state = new LinkState(evil);
    state.update({ phase: "connecting", relay: { name: evil, address: evil } });
    state.fault(new SallyportError("relay-unreachable", evil, { hint: evil }), "down");
    const server = (await serveHealth(state, "127.0.46.12:0"))!;
    await using browser = await startChromium();
    await using page = await browser.open(`http://${server.address}/`, WIDE);
    await page.until(saysState("Down"));
    assert.equal(await page.evaluate(textOf("gateway")), evil);
    assert.equal(await page.evaluate("document.querySelectorAll('img').length"), 0);
    assert.match(await page.evaluate("document.title"), /^Down · /);
    assert.deepEqual(page.complaints, []);
    await server.close();
  },
});

Deno.test("the page is one document that may load nothing and run nothing else", async () => {
  const state = new LinkState("g");
  const history = new History(state);
  const app = healthApp({ state, history, address: { host: "127.0.0.1", port: 1 } });
  const response = await app.request("/");
  const html = await response.text();
  assert.doesNotMatch(html, /https?:\/\/(?!www\.w3\.org\/2000\/svg)|@import|url\(/);
  assert.doesNotMatch(html, /innerHTML|insertAdjacentHTML|document\.write|eval\(/);
  assert.doesNotMatch(html, /<[^>]+ (style|on\w+)=/);
  const policy = response.headers.get("content-security-policy")!;
  assert.match(policy, /^default-src 'none'; style-src 'sha256-\S+'; script-src 'sha256-\S+';/);
  assert.match(policy, /frame-ancestors 'none'/);
  assert.doesNotMatch(policy, /unsafe/);
  history.close();
});
