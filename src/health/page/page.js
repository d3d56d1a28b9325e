/** The page's script: asks /status and /history again and again, and shows what they say. */
"use strict";

(() => {
  const ASK_EVERY = 1000;
  const ASK_HIDDEN_EVERY = 5000;
  const PATIENCE = 4000;
  const SHOWN = 15 * 60_000;
  const [WIDTH, HEIGHT] = [900, 200];
  const WORDS = {
    starting: "Starting",
    connecting: "Connecting",
    up: "Up",
    draining: "Stopping",
    down: "Down",
    silent: "Not answering",
  };

  const at = (id) => document.getElementById(id);
  const say = (id, text) => {
    const element = at(id);
    if (element.textContent !== text) element.textContent = text;
  };
  const make = (name, text, className) => {
    const element = document.createElement(name);
    if (text !== undefined) element.textContent = text;
    if (className) element.className = className;
    return element;
  };

  function bytes(count) {
    const units = ["B", "kB", "MB", "GB", "TB"];
    let unit = 0;
    while (count >= 999.5 && unit < units.length - 1) {
      count /= 1000;
      unit++;
    }
    return `${count < 9.95 && unit > 0 ? count.toFixed(1) : Math.round(count)} ${units[unit]}`;
  }

  function span(ms) {
    const seconds = Math.max(0, Math.floor(ms / 1000));
    const [days, hours] = [Math.floor(seconds / 86400), Math.floor(seconds / 3600) % 24];
    const [minutes, rest] = [Math.floor(seconds / 60) % 60, seconds % 60];
    if (days) return hours ? `${days} d ${hours} h` : `${days} d`;
    if (hours) return minutes ? `${hours} h ${minutes} min` : `${hours} h`;
    if (minutes) return rest ? `${minutes} min ${rest} s` : `${minutes} min`;
    return `${rest} s`;
  }

  function clockTime(date) {
    return date.toLocaleTimeString([], { hour12: false });
  }

  /** With the date where that is another day. */
  function moment(text, now) {
    const date = new Date(text);
    const day = date.toDateString() === now.toDateString()
      ? ""
      : `${date.toLocaleDateString([], { day: "numeric", month: "short" })} `;
    return day + clockTime(date);
  }

  function ahead(text, now) {
    if (text === undefined) return "–";
    const left = new Date(text) - now;
    return left > 0 ? `in ${span(left)}` : `${span(-left)} ago`;
  }

  let state;
  let silentSince;
  /** The last answers: the shown rate is what was carried between them. */
  const seen = [];

  function setState(next, gateway) {
    say("state", WORDS[next] ?? next);
    document.title = `${WORDS[next] ?? next} · ${gateway ?? "sallyport"}`;
    if (next === state) return;
    state = next;
    document.body.dataset.state = next;
    const colour = getComputedStyle(document.body).getPropertyValue("--state").trim();
    const icon = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">` +
      `<circle cx="8" cy="8" r="6" fill="${colour}"/></svg>`;
    at("icon").href = `data:image/svg+xml,${encodeURIComponent(icon)}`;
  }

  function showStatus(status, now) {
    const { relay, channels, lastError } = status;
    const trouble = status.ready ? undefined : lastError;
    setState(status.phase, status.gateway);
    say("gateway", status.gateway);
    say("reason", sentence(status.reason));
    say("hint", trouble?.hint ? sentence(trouble.hint) : "");
    say("since", `for ${span(status.for * 1000)}`);
    say(
      "platform",
      status.heartbeat ? `${span(now - new Date(status.heartbeat))} ago` : "none yet",
    );
    say("relay", relay ? relay.name ?? relay.address : "not chosen yet");
    say("relay-address", relay?.name ? relay.address : "–");
    say("here", status.gateway);
    say(
      "latency",
      status.latency === undefined
        ? (status.ready ? "no round trip yet" : "no tunnel")
        : `${status.latency} ms to relay`,
    );
    say("open", `${channels.open} open`);
    say("channels", `${channels.served} served, ${channels.failed} failed`);
    at("gateway-node").className = channels.open > 0 ? "busy" : "";
    say("version", `sallyport ${status.version}`);
    showFacts([
      ["To targets", bytes(status.bytes.in)],
      ["From targets", bytes(status.bytes.out)],
      ["Reconnects", String(status.reconnects)],
      ["Certificates end", ahead(status.certificatesEnd, now)],
      ["Next renewal", ahead(status.nextRenewal, now)],
      ["Last error", lastError ? `${span(now - new Date(lastError.at))} ago` : "none"],
    ]);
  }

  function sentence(text) {
    return text.charAt(0).toUpperCase() + text.slice(1);
  }

  function showFacts(facts) {
    const list = at("facts");
    if (list.childElementCount === 0) {
      for (const [name] of facts) {
        const group = make("div");
        group.append(make("dt", name), make("dd"));
        list.append(group);
      }
    }
    facts.forEach(([, value], index) => {
      list.children[index].lastElementChild.textContent = value;
    });
  }

  function showRate({ bytes: carried }) {
    seen.push({ time: performance.now(), ...carried });
    if (seen.length > 4) seen.shift();
    const [first, last] = [seen[0], seen.at(-1)];
    const seconds = (last.time - first.time) / 1000;
    // A gateway that was started again counts anew.
    if (last.in < first.in || last.out < first.out) seen.splice(0, seen.length - 1);
    else if (seconds > 0) {
      say("rate-in", `${bytes((last.in - first.in) / seconds)}/s`);
      say("rate-out", `${bytes((last.out - first.out) / seconds)}/s`);
    }
  }

  /** The next of 1, 2, 5, 10, … that is no less than `value`. */
  function roundUp(value) {
    const power = 10 ** Math.floor(Math.log10(value));
    return power * [1, 2, 5, 10].find((step) => step * power >= value * 0.999);
  }

  function showPlot(samples, now) {
    const top = roundUp(Math.max(1000, ...samples.flatMap((sample) => [sample.in, sample.out])));
    say("top", `${bytes(top)}/s`);
    for (const way of ["in", "out"]) {
      const points = samples
        .map((sample) => [
          (1 - (now - new Date(sample.at)) / SHOWN) * WIDTH,
          HEIGHT - 1 - sample[way] / top * (HEIGHT - 2),
        ])
        .filter(([x]) => x >= -10 && x <= WIDTH + 10)
        .map(([x, y]) => [x.toFixed(1), y.toFixed(1)]);
      const line = points.map(([x, y]) => `${x} ${y}`).join("L");
      at(`line-${way}`).setAttribute("d", line && `M${line}`);
      const [first, last] = [points[0], points.at(-1)];
      const area = line && `M${first[0]} ${HEIGHT}L${line}L${last[0]} ${HEIGHT}Z`;
      at(`area-${way}`).setAttribute("d", area);
    }
  }

  let shownEvents;

  function showEvents(events, now) {
    const key = JSON.stringify([events, now.toDateString()]);
    if (key === shownEvents) return;
    shownEvents = key;
    at("events").replaceChildren(...events.map((event) => {
      const item = make("li", undefined, event.kind);
      const time = make("time", moment(event.at, now));
      time.dateTime = event.at;
      const what = make("div");
      what.append(
        make("p", sentence(event.text) + (event.times > 1 ? ` (${event.times} times)` : "")),
      );
      if (event.hint) what.append(make("p", sentence(event.hint), "quiet"));
      item.append(make("i"), time, what);
      return item;
    }));
  }

  function showSilence() {
    silentSince ??= new Date();
    seen.length = 0;
    setState("silent", at("gateway").textContent);
    say("reason", "The gateway does not answer any more. It is asked every second.");
    say("hint", "Below is what it said last.");
    say("since", `since ${clockTime(silentSince)}`);
    say("rate-in", "–");
    say("rate-out", "–");
  }

  async function ask(path) {
    const response = await fetch(path, {
      cache: "no-store",
      signal: AbortSignal.timeout(PATIENCE),
    });
    if (!response.ok) throw new Error(`${path}: ${response.status}`);
    return response.json();
  }

  async function look() {
    try {
      const [status, history] = await Promise.all([ask("status"), ask("history")]);
      const now = new Date(history.now);
      silentSince = undefined;
      showStatus(status, now);
      showRate(status);
      showPlot(history.throughput, now);
      showEvents(history.events, now);
    } catch {
      showSilence();
    }
    setTimeout(look, document.hidden ? ASK_HIDDEN_EVERY : ASK_EVERY);
  }

  look();
})();
