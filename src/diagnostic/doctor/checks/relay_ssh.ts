/** What answers at the relay's port says that it is SSH (RFC 4253 §4.2). */
import { asSallyportError } from "../../../errors.ts";
import { formatRelayAddress } from "../../../link/relay_address.ts";
import { type Check, fail, type Outcome, pass } from "../check.ts";
import { relayAddress } from "../context.ts";
import { faultOf, unreachable } from "../reach.ts";
import { relayPlace } from "../relay_place.ts";
import { readFirstWords } from "../first_words.ts";

/** See above. */
export const relaySsh: Check = {
  id: "relay-ssh",
  title: "relay SSH",
  needs: ["relay-port"],
  async run(context, signal) {
    const address = (await relayAddress(context, signal))!;
    const where = formatRelayAddress(address);
    const place = relayPlace(context, address);
    let words: string;
    try {
      const socket = await context.dial(address.host, address.port, {
        signal,
        timeout: context.timeout * 2,
      });
      words = await readFirstWords(socket, signal);
    } catch (error) {
      const fault = faultOf(error);
      if (fault === "silent") {
        return fail(
          `${where} takes the connection and then says nothing within ${context.timeout} ms: ` +
            "something on the way answers in the relay's place, or the relay hangs",
          `ask for TCP port ${address.port} without inspection; the letter is printed by: ${place.rule}`,
          "ssh-protocol",
        );
      }
      return unreachable(fault, place, asSallyportError(error).message);
    }
    const line = /^SSH-[^\r\n]*/m.exec(words)?.[0];
    if (line === undefined) {
      return words === "" ? unreachable("closed", place) : notSsh(where, words);
    }
    if (/^SSH-(2\.0|1\.99)-/.test(line)) return pass(`${where} says ${line.slice(0, 80)}`);
    return fail(`${where} speaks an SSH too old: ${line.slice(0, 80)}`, undefined, "ssh-protocol");
  },
};

function notSsh(where: string, words: string): Outcome {
  const what = words.startsWith("HTTP/")
    ? "HTTP"
    // A TLS alert or handshake record (RFC 8446 §5.1).
    : words.startsWith("\x15\x03") || words.startsWith("\x16\x03")
    ? "TLS"
    : "something else";
  return fail(
    `${where} speaks ${what}, not SSH`,
    "check the relay's SSH port (2222 unless it is registered with another one); or a firewall " +
      "answers in its place",
    "ssh-protocol",
  );
}
