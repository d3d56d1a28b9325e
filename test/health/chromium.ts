/** A headless Chromium, driven by its own protocol (CDP) over one WebSocket. */
import { join } from "node:path";
import process from "node:process";
import { startChild } from "../child.ts";
import { inPath } from "../requirements.ts";
import { temporaryFolder } from "../temporary.ts";

/** How a page is looked at. */
export interface View {
  width: number;
  height: number;
  scheme: "light" | "dark";
}

/** A page in the browser. */
export interface Page extends AsyncDisposable {
  /** What the page and the browser complained about: exceptions, console errors, refused loads. */
  readonly complaints: string[];
  /** Requests that went anywhere, in order. */
  readonly requests: string[];
  /** The value of an expression in the page. */
  evaluate<T>(expression: string): Promise<T>;
  /** Resolves once the expression is true; rejects after 15 seconds, with the page's text. */
  until(expression: string): Promise<void>;
  /** A picture of the whole page, PNG. */
  picture(): Promise<Uint8Array<ArrayBuffer>>;
}

/** A browser with nothing of the user in it. */
export interface Browser extends AsyncDisposable {
  open(url: string, view: View): Promise<Page>;
}

type Params = Record<string, unknown>;
type Listener = (method: string, params: Params, session: string | undefined) => void;

const UNTIL = 15_000;

/** Starts it. */
export async function startChromium(): Promise<Browser> {
  const folder = await temporaryFolder();
  const child = startChild(inPath("chromium")!, {
    args: [
      "--headless=new",
      "--remote-debugging-port=0",
      `--user-data-dir=${join(folder.path, "profile")}`,
      "--no-first-run",
      "--disable-gpu",
      "--disable-dev-shm-usage",
      "--disable-background-networking",
      "--disable-component-update",
      // Root may not use the sandbox; the only pages here are ours.
      ...(process.getuid?.() === 0 ? ["--no-sandbox"] : []),
      "about:blank",
    ],
    // It leaves something behind in the folder for temporary files.
    env: { HOME: folder.path, TMPDIR: folder.path },
  });
  const said = await child.line(/DevTools listening on ws:/);
  const wire = await connect(/ws:\S+/.exec(said)![0]);
  return {
    open: (url, view) => openPage(wire, url, view),
    async [Symbol.asyncDispose]() {
      await wire.close();
      child.kill("SIGTERM");
      await child.status;
      await child[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}

interface Wire {
  send<T>(method: string, params?: Params, session?: string): Promise<T>;
  listen(listener: Listener): () => void;
  close(): Promise<void>;
}

async function connect(url: string): Promise<Wire> {
  const socket = new WebSocket(url);
  await new Promise((resolve, reject) => {
    socket.onopen = resolve;
    socket.onerror = () => reject(new Error(`no answer at ${url}`));
  });
  const waiting = new Map<number, { resolve(v: never): void; reject(e: Error): void }>();
  const listeners = new Set<Listener>();
  let next = 1;
  socket.onmessage = ({ data }) => {
    const { id, method, params, result, error, sessionId } = JSON.parse(data);
    if (id === undefined) { for (const listener of listeners) listener(method, params, sessionId); }
    else if (error) waiting.get(id)?.reject(new Error(error.message));
    else waiting.get(id)?.resolve(result as never);
    waiting.delete(id);
  };
  return {
    send: (method, params = {}, sessionId) =>
      new Promise((resolve, reject) => {
        waiting.set(next, { resolve, reject });
        socket.send(JSON.stringify({ id: next++, method, params, sessionId }));
      }),
    listen(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    close: () =>
      new Promise((resolve) => {
        socket.onclose = () => resolve();
        socket.close();
      }),
  };
}

async function openPage(wire: Wire, url: string, { width, height, scheme }: View): Promise<Page> {
  const { targetId } = await wire.send<{ targetId: string }>("Target.createTarget", {
    url: "about:blank",
  });
  const { sessionId } = await wire.send<{ sessionId: string }>("Target.attachToTarget", {
    targetId,
    flatten: true,
  });
  const send = <T>(method: string, params?: Params) => wire.send<T>(method, params, sessionId);
  const complaints: string[] = [];
  const requests: string[] = [];
  const leave = wire.listen((method, params, session) => {
    if (session !== sessionId) return;
    if (method === "Network.requestWillBeSent") {
      requests.push((params.request as { url: string }).url);
    } else if (method === "Runtime.exceptionThrown") {
      complaints.push(JSON.stringify(params.exceptionDetails));
    } else if (method === "Runtime.consoleAPICalled") {
      complaints.push(`${params.type}: ${JSON.stringify(params.args)}`);
    } else if (method === "Log.entryAdded") {
      complaints.push((params.entry as { text: string }).text);
    }
  });
  for (const part of ["Page", "Runtime", "Log", "Network"]) await send(`${part}.enable`);
  const mobile = width < 600;
  const metrics = { width, height, deviceScaleFactor: 1, mobile };
  await send("Emulation.setDeviceMetricsOverride", metrics);
  await send("Emulation.setScrollbarsHidden", { hidden: true });
  await send("Emulation.setEmulatedMedia", {
    features: [{ name: "prefers-color-scheme", value: scheme }],
  });
  const loaded = new Promise<void>((resolve) => {
    const leave = wire.listen((method, _params, session) => {
      if (session !== sessionId || method !== "Page.loadEventFired") return;
      leave();
      resolve();
    });
  });
  await send("Page.navigate", { url });
  await loaded;
  const evaluate = async <T>(expression: string): Promise<T> => {
    const { result, exceptionDetails } = await send<
      { result: { value: T }; exceptionDetails?: unknown }
    >("Runtime.evaluate", { expression, returnByValue: true, awaitPromise: true });
    if (exceptionDetails) throw new Error(`${expression}: ${JSON.stringify(exceptionDetails)}`);
    return result.value;
  };
  return {
    complaints,
    requests,
    evaluate,
    async until(expression) {
      const late = performance.now() + UNTIL;
      while (!await evaluate<boolean>(`Boolean(${expression})`)) {
        if (performance.now() > late) {
          const text = await evaluate<string>("document.body.innerText");
          throw new Error(`it did not come about: ${expression}; the page says:\n${text}`);
        }
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    },
    async picture() {
      const { data } = await send<{ data: string }>("Page.captureScreenshot", {
        captureBeyondViewport: true,
      });
      return Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
    },
    async [Symbol.asyncDispose]() {
      leave();
      await wire.send("Target.closeTarget", { targetId });
    },
  };
}
