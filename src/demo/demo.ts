/** `sallyport demo`: the whole system on this machine, told as a story with real traffic. */
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect } from "node:net";
import { EXIT, SallyportError } from "../errors.ts";
import { setStage, type Stage } from "./stage.ts";

/** Where the story is told, and when it is to be broken off. */
export interface DemoContext {
  out(text: string): void;
  signal: AbortSignal;
}

const BULK = 4 * 1024 * 1024;
/** A demonstration that hangs must not look like one that runs. */
const WITHIN = 60_000;

/** Tells the story; gives the exit status. Rejects if any part of it does not hold. */
export async function runDemo({ out, signal }: DemoContext): Promise<number> {
  const started = performance.now();
  const ends = AbortSignal.any([signal, AbortSignal.timeout(WITHIN)]);
  const secret = `swordfish-${randomBytes(8).toString("hex")}`;
  out(PROLOGUE);
  out("1. Five parties start, all on this machine, each on a port that was free.\n");
  const stage = await setStage(secret, (step) => out(`   ${step}`), ends);
  try {
    out("\n2. A client asks for the private services through the tunnel.\n");
    const localHttp = (await stage.connect(stage.targetWire.port, "http")).address.port;
    const localTcp = (await stage.connect(stage.tcp.port, "tcp")).address.port;
    await readSecret(localHttp, secret, ends, out);
    await halfClose(localTcp, ends, out);
    await bulk(localHttp, ends, out);

    out("\n3. Who could read the secret on its way?\n");
    report(stage, secret, out);

    out("\n4. The network between gateway and relay fails.\n");
    await cutAndRecover(stage, ends, out);
    await readSecret(localHttp, secret, ends, out);
  } finally {
    await stage.close();
  }
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  out(`\nEverything is stopped and removed. ${seconds} s.`);
  out("Next: README, “Two hosts in five minutes”.");
  return EXIT.ok;
}

const PROLOGUE = `
sallyport: reach a private service without opening a port to it.

   client ──TLS──► relay ◄──SSH── gateway ──► private HTTP and TCP services
      └──────────── mTLS, inside both ──────┘

The gateway stands behind the firewall and dials OUT. The relay stands outside and passes
on what it cannot read: the client and the gateway encrypt for each other, inside.
`;

async function readSecret(
  port: number,
  secret: string,
  signal: AbortSignal,
  out: DemoContext["out"],
): Promise<void> {
  const response = await fetch(`http://127.0.0.1:${port}/`, { signal });
  const body = await response.text();
  demand(response.ok && body.includes(secret), `the HTTP service answered ${response.status}`);
  out(`   GET  http://127.0.0.1:${port}/  ->  ${response.status} ${body}`);
}

/** The answer to a request that ends by closing its half: many tunnels lose it. */
async function halfClose(port: number, signal: AbortSignal, out: DemoContext["out"]) {
  const question = "is anybody there?";
  const socket = connect({ host: "127.0.0.1", port, allowHalfOpen: true });
  let answer = "";
  socket.on("data", (chunk) => answer += chunk.toString());
  socket.end(question);
  await once(socket, "end", { signal });
  socket.destroy();
  demand(answer === question.toUpperCase(), `the TCP service answered "${answer}"`);
  out(`   TCP  127.0.0.1:${port}  "${question}", end  ->  "${answer}"`);
}

async function bulk(port: number, signal: AbortSignal, out: DemoContext["out"]): Promise<void> {
  const body = randomBytes(BULK);
  const started = performance.now();
  const response = await fetch(`http://127.0.0.1:${port}/echo`, { method: "POST", body, signal });
  const back = new Uint8Array(await response.arrayBuffer());
  const ms = Math.round(performance.now() - started);
  const hash = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
  demand(hash(body) === hash(back), "the 4 MiB came back changed");
  out(`   POST 4 MiB of random bytes, and the same 4 MiB back in ${ms} ms: SHA-256 equal`);
}

/** The last wire is the proof of the proof: the same search finds the secret where it may be read. */
function report(stage: Stage, secret: string, out: DemoContext["out"]): void {
  const { clientWire, insideRelay, gatewayWire, targetWire } = stage;
  const hops = [
    ["client to relay", clientWire.recording, false],
    ["inside the relay", insideRelay, false],
    ["relay to gateway", gatewayWire.recording, false],
    ["gateway to target", targetWire.recording, true],
  ] as const;
  for (const [place, recording, readable] of hops) {
    const found = recording.contains(secret);
    demand(recording.bytes > BULK, `${place}: only ${recording.bytes} bytes were heard`);
    demand(found === readable, `${place}: the secret ${found ? "could" : "could not"} be read`);
    const size = `${(recording.bytes / 1024 / 1024).toFixed(1)} MiB recorded and searched`;
    const verdict = found ? "FOUND, behind the firewall where it lives" : "not found: ciphertext";
    out(`   ${place.padEnd(18)} ${size}: ${verdict}`);
  }
  out("   What the relay did learn: which gateway, when, from which address, how many bytes.");
}

async function cutAndRecover(
  { gateway: { state }, gatewayWire }: Stage,
  signal: AbortSignal,
  out: DemoContext["out"],
): Promise<void> {
  const down = state.until(({ phase }) => phase !== "up", signal);
  const cut = performance.now();
  gatewayWire.cut();
  await down;
  out("   the connection is reset; the gateway notices and dials again");
  const { reconnects } = await state.until(({ phase }) => phase === "up", signal);
  demand(reconnects === 1, `there were ${reconnects} reconnects`);
  out(`   the tunnel is back after ${Math.round(performance.now() - cut)} ms; nobody did anything`);
}

function demand(holds: boolean, otherwise: string): void {
  if (!holds) throw new SallyportError("internal", `the demonstration failed: ${otherwise}`);
}
