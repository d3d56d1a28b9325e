/** TLS to the platform: who signed its certificate, and whether something between opens TLS. */
import type { X509Certificate } from "node:crypto";
import { rootCertificates } from "node:tls";
import { trustedAuthorities } from "../../../egress/http.ts";
import { asSallyportError } from "../../../errors.ts";
import { isFor, shortName, showChain, type ShownChain } from "../certificate_chain.ts";
import { type Check, fail, type Outcome, pass, skip, warn } from "../check.ts";
import { type DoctorContext, relayAddress } from "../context.ts";
import { firewallPlace, platformDial, platformPlace } from "../platform_route.ts";
import { faultOf, unreachable } from "../reach.ts";

/** See above. */
export const platformTls: Check = {
  id: "platform-tls",
  title: "platform TLS",
  needs: ["platform-port"],
  patience: 2,
  async run(context, signal) {
    const place = platformPlace(context);
    const { host, port, secure } = place;
    if (!secure) return plainHttp(host);
    const shown = async (authorities: string[]) => {
      const options = { signal, timeout: context.timeout * 2 };
      const socket = await platformDial(context, place)(host, port, options);
      return await showChain(socket, { host, authorities, signal });
    };
    let chain: ShownChain;
    try {
      chain = await shown([...context.publicAuthorities ?? rootCertificates]);
    } catch (error) {
      const fault = faultOf(error);
      const { message } = asSallyportError(error);
      if (fault === "other") return noTls(host, port, message);
      const relay = await relayAddress(context, signal).catch(() => undefined);
      return unreachable(fault, firewallPlace(context, place, relay), message);
    }
    const fault = faultOfLeaf(chain.certificates[0], host, context.now());
    if (fault) return fault;
    if (chain.trusted) return pass(`${issuerOf(chain)}, a public authority; ${untilOf(chain)}`);
    const { system, own } = await trustedAuthorities(context.caFile);
    if ((await shown([...own])).trusted) {
      return pass(`${issuerOf(chain)}, which --ca-file vouches for; ${untilOf(chain)}`);
    }
    return (await shown([...system, ...own])).trusted
      ? fromTheSystem(chain)
      : unknownAuthority(chain, context);
  },
};

function plainHttp(host: string): Outcome {
  if (host === "localhost" || host === "::1" || host.startsWith("127.")) {
    return skip("the platform is given by http, on this host");
  }
  return warn(
    `${host} is plain http: tokens and keys cross the network unprotected`,
    "give --domain as https://…",
  );
}

function noTls(host: string, port: number, message: string): Outcome {
  return fail(
    `${host} port ${port}: TLS fails: ${message}`,
    "check the port in --domain: what answers there may not be https",
    "api-unreachable",
  );
}

function issuerOf({ certificates: [leaf] }: ShownChain): string {
  return `the certificate is issued by ${leaf ? shortName(leaf.issuer) : "nobody"}`;
}

function untilOf({ certificates: [leaf] }: ShownChain): string {
  return `it holds until ${leaf ? new Date(leaf.validTo).toISOString() : "unknown"}`;
}

/** What is wrong with the server's own certificate, whoever signed it. */
function faultOfLeaf(
  leaf: X509Certificate | undefined,
  host: string,
  now: number,
): Outcome | undefined {
  const bad = (finding: string, remedy: string) => fail(finding, remedy, "api-unreachable");
  if (!leaf) return bad("the server shows no certificate", "check --domain");
  const [from, to] = [Date.parse(leaf.validFrom), Date.parse(leaf.validTo)];
  const clock = `this host's clock says ${new Date(now).toISOString()}`;
  if (now >= to) {
    return bad(
      `the certificate expired at ${new Date(to).toISOString()} (issued by ${
        shortName(leaf.issuer)
      })`,
      `${clock}; if that is right, the platform's administrator must renew the certificate`,
    );
  }
  if (now < from) {
    return bad(
      `the certificate does not hold before ${new Date(from).toISOString()}`,
      `${clock}: set it right`,
    );
  }
  if (isFor(leaf, host)) return undefined;
  return bad(
    `the certificate is for ${leaf.subjectAltName ?? shortName(leaf.subject)}, not for ${host}`,
    `give --domain under a name of the certificate; or something else answers for ${host} ` +
      `(issuer: ${shortName(leaf.issuer)})`,
  );
}

function fromTheSystem(chain: ShownChain): Outcome {
  return warn(
    `${issuerOf(chain)}, which this system's store has and which is no public authority: ` +
      "something on the way seems to open TLS, or the platform has an authority of its own",
    "nothing, if that is your company's: the gateway trusts this system's store too",
  );
}

function unknownAuthority(chain: ShownChain, { caFile }: DoctorContext): Outcome {
  const top = chain.certificates.at(-1)!;
  const root = shortName(top.issuer);
  return fail(
    `${issuerOf(chain)}, and its authority "${root}" is neither public nor in this system's ` +
      `store${caFile === undefined ? "" : ` nor in ${caFile}`}: a proxy or firewall seems to ` +
      "open TLS, or the platform has an authority of its own",
    `get the certificate of "${root}" (PEM) from who runs that, and give it with --ca-file FILE`,
    "api-unreachable",
  );
}
