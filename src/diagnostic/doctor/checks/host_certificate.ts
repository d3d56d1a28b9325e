/** The relay proves with its host certificate that it is the platform's. Nobody logs in for that. */
import { asSallyportError } from "../../../errors.ts";
import { formatRelayAddress, hostPrincipals } from "../../../link/relay_address.ts";
import { proveHost } from "../../../ssh/host_proof.ts";
import { type Check, fail, pass } from "../check.ts";

/** See above. */
export const hostCertificate: Check = {
  id: "host-certificate",
  title: "host certificate",
  needs: ["registration", "relay-ssh"],
  async run(context, signal) {
    const { address, registration: { ssh } } = context.facts.registered!;
    const { host, port } = context.relayAddress ?? address;
    const socket = await context.dial(host, port, { signal, timeout: context.timeout * 2 });
    try {
      const { certificate, kex } = await proveHost({
        socket,
        hostAuthority: ssh.serverCAPublicKey,
        hostPrincipals: hostPrincipals(address),
        signal,
        now: () => new Date(context.now()),
      });
      const until = new Date(Math.min(Number(certificate.validBefore) * 1000, 8.64e15));
      return pass(
        `signed by the platform's authority, for ${certificate.principals.join(", ")}; ` +
          `it holds until ${until.toISOString()} (${kex})`,
      );
    } catch (error) {
      signal.throwIfAborted();
      const { code, message, hint } = asSallyportError(error);
      const where = formatRelayAddress({ host, port });
      return fail(`relay ${where}: ${message}`, hint ?? remedyFor(code), code);
    }
  },
};

function remedyFor(code: string): string {
  switch (code) {
    case "certificate-authority":
      return "another relay, or something on the way, answers there: compare the address with the " +
        "relay's, then restart the relay, so that it registers anew";
    case "certificate-principal":
      return "register the relay with the host under which gateways reach it (relay start --host)";
    case "ssh-closed":
    case "ssh-protocol":
      return "a firewall that inspects may end SSH: ask for the port without inspection; else see " +
        "the relay's log";
    default:
      return "restart the relay, so that it registers anew, and see its log";
  }
}
