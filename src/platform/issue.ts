/**
 * What gateways, relays and clients get: each function makes new keys, certifies them and gives the
 * answer of the API (src/enroll/registration.ts, protocol.md). Whatever has to do with a relay is
 * signed by the authorities that the relay itself was given: its organisation's, or the instance's.
 */
import { isIPv6 } from "node:net";
import { issueSshCertificate, type SshCertificateRequest } from "../certificates/ssh.ts";
import { formatAuthorizedKey, formatPrivateKey } from "../certificates/ssh_key.ts";
import { OID } from "../certificates/x509.ts";
import type { Connection, GatewayRegistration, RelayRegistration } from "../enroll/api.ts";
import { formatAddress } from "../listen.ts";
import type { Authorities } from "./authorities.ts";
import type { Gateway } from "./gateways.ts";
import type { Identity } from "./identities.ts";
import { generateKey, keyToPem, type KeyType } from "./keys.ts";
import type { Organisation } from "./organisations.ts";
import { DEFAULT_SSH_PORT, type PlacedRelay } from "./relays.ts";
import {
  CLOCK_SKEW,
  issueLeaf,
  type LeafRequest,
  type Name,
  type X509Authority,
} from "./x509_issue.ts";

/** How long certificates live, ms. */
export interface Lives {
  /** Server certificates of gateways and relays, and SSH user certificates. @default 1 day */
  leaf: number;
  /** Client certificates for a connection. @default 5 min */
  client: number;
  /** SSH host certificates of relays. @default 30 days */
  hostCertificate: number;
}

/** As the real platform (protocol.md). */
export const DEFAULT_LIVES: Lives = {
  leaf: 24 * 60 * 60_000,
  client: 5 * 60_000,
  hostCertificate: 30 * 24 * 60 * 60_000,
};

/** What every certificate depends on. */
export interface Issuer {
  authorities: Authorities;
  lives: Lives;
  now: () => Date;
}

/** A gateway's answer: its TLS server certificate, and its way into `relay`. */
export async function issueGateway(
  issuer: Issuer,
  gateway: Gateway,
  relay: PlacedRelay,
): Promise<GatewayRegistration> {
  const { authorities, lives } = issuer;
  const { organisation } = gateway;
  const keyType = authorities.keyType(organisation);
  const [server, ssh] = await Promise.all([
    x509Pair(issuer, authorities.x509(organisation, "gateway-server"), {
      subject: [["O", organisation], ["CN", "Gateway"]],
      keyType,
      usage: "server",
      hosts: ["localhost", "127.0.0.1", "::1"],
      life: lives.leaf,
    }),
    sshPair(issuer, keyType, lives.leaf, {
      certType: "user",
      authorityKey: authorities.ssh(relay.organisation, "ssh-user"),
      keyId: `client-${relay.name}`,
      principals: [gateway.id, gateway.name],
      extensions: { "permit-port-forwarding": "" },
    }),
  ]);
  return {
    gatewayId: gateway.id,
    relayHost: relay.sshPort === DEFAULT_SSH_PORT
      ? relay.host
      : formatAddress({ host: relay.host, port: relay.sshPort }),
    pki: {
      serverCertificate: server.certificate,
      serverPrivateKey: server.key,
      clientCertificateChain: authorities.chain(organisation, "gateway", "client"),
    },
    ssh: {
      clientCertificate: ssh.certificate,
      clientPrivateKey: ssh.key,
      serverCAPublicKey: authorities.sshPublicKey(relay.organisation, "ssh-host"),
    },
  };
}

/** A relay's answer: its TLS and SSH host certificates, and whom it lets in. */
export async function issueRelay(issuer: Issuer, relay: PlacedRelay): Promise<RelayRegistration> {
  const { authorities, lives } = issuer;
  const { organisation, host } = relay;
  const keyType = authorities.keyType(organisation);
  const [server, ssh] = await Promise.all([
    x509Pair(issuer, authorities.x509(organisation, "relay-server"), {
      subject: [["CN", host], ["O", organisation ?? "instance"], ["OU", "Relay"]],
      keyType,
      usage: "server",
      hosts: [host],
      life: lives.leaf,
    }),
    sshPair(issuer, keyType, lives.hostCertificate, {
      certType: "host",
      authorityKey: authorities.ssh(organisation, "ssh-host"),
      keyId: "relay-server",
      principals: hostPrincipals(relay),
    }),
  ]);
  return {
    pki: {
      serverCertificate: server.certificate,
      serverPrivateKey: server.key,
      clientCertificateChain: authorities.chain(organisation, "relay", "client"),
    },
    ssh: {
      serverCertificate: ssh.certificate,
      serverPrivateKey: ssh.key,
      clientCAPublicKey: authorities.sshPublicKey(organisation, "ssh-user"),
    },
  };
}

/** `<host>:<port>`; an IPv6 address also in the brackets that some clients write it with. */
function hostPrincipals({ host, sshPort }: PlacedRelay): string[] {
  const plain = `${host}:${sshPort}`;
  return isIPv6(host) ? [plain, formatAddress({ host, port: sshPort })] : [plain];
}

/** Who asks for a connection, and where it goes. */
export interface ConnectionRequest {
  organisation: Organisation;
  identity: Identity;
  gateway: Gateway;
  relay: PlacedRelay;
  target: { host: string; port: number };
}

/**
 * Client certificates for one target behind one gateway. The actor is a "user", never the "platform":
 * gateways let the platform alone use their pod's Kubernetes credentials (protocol.md, "Inside the
 * channel"), and whoever may open connections must not get the rights of a whole cluster with that.
 */
export async function issueConnection(
  issuer: Issuer,
  { organisation, identity, gateway, relay, target }: ConnectionRequest,
): Promise<Connection> {
  const { authorities, lives } = issuer;
  const keyType = authorities.keyType(organisation.id);
  const life = lives.client;
  const [toRelay, toGateway] = await Promise.all([
    x509Pair(issuer, authorities.x509(relay.organisation, "relay-client"), {
      subject: [
        ["O", `${organisation.name}-${organisation.id}`],
        ["OU", "relay-client"],
        ["CN", gateway.id],
      ],
      keyType,
      usage: "client",
      life,
      // The actor's id alone: the relay cuts off by it who is revoked.
      json: { [OID.gateway]: { name: gateway.name }, [OID.actor]: { id: identity.id } },
    }),
    x509Pair(issuer, authorities.x509(organisation.id, "gateway-client"), {
      subject: [["O", organisation.id], ["OU", "gateway-client"], ["CN", `user:${identity.id}`]],
      keyType,
      usage: "client",
      life,
      json: {
        [OID.target]: { targetHost: target.host, targetPort: target.port },
        [OID.actor]: { type: "user", id: identity.id, name: identity.name },
      },
    }),
  ]);
  return {
    gatewayId: gateway.id,
    relay: {
      host: relay.host,
      tlsPort: relay.tlsPort,
      clientCertificate: toRelay.certificate,
      clientPrivateKey: toRelay.key,
      serverCertificateChain: authorities.chain(relay.organisation, "relay", "server"),
    },
    gateway: {
      clientCertificate: toGateway.certificate,
      clientPrivateKey: toGateway.key,
      serverCertificateChain: authorities.chain(organisation.id, "gateway", "server"),
    },
  };
}

/** Life of the API's own certificate, ms: the platform takes a new one whenever it starts. */
const API_LIFE = 365 * 24 * 60 * 60_000;

/** A certificate for serving the API itself, and its authority's, PEM. */
export async function issueApi(
  issuer: Issuer,
  host: string,
): Promise<{ certificate: string; key: string; authority: string }> {
  const authority = issuer.authorities.x509(null, "api");
  const subject: Name = [["O", "instance"], ["OU", "API"], ["CN", host]];
  const pair = await x509Pair(issuer, authority, {
    subject,
    keyType: authority.keyType,
    usage: "server",
    hosts: [host],
    life: API_LIFE,
  });
  return { ...pair, authority: authority.certificate };
}

async function x509Pair(
  { now }: Issuer,
  authority: X509Authority,
  request: Omit<LeafRequest, "key" | "now">,
): Promise<{ certificate: string; key: string }> {
  const key = await generateKey(request.keyType);
  const certificate = await issueLeaf({ ...request, key, now: now() }, authority);
  return { certificate: `${certificate.trim()}\n`, key: keyToPem(key) };
}

async function sshPair(
  { now }: Issuer,
  keyType: KeyType,
  life: number,
  request: Omit<SshCertificateRequest, "publicKey" | "validAfter" | "validBefore">,
): Promise<{ certificate: string; key: string }> {
  const key = await generateKey(keyType);
  const from = now().getTime();
  const { blob } = issueSshCertificate({
    ...request,
    publicKey: key,
    validAfter: new Date(from - CLOCK_SKEW),
    validBefore: new Date(from + life),
  });
  return { certificate: formatAuthorizedKey(blob), key: formatPrivateKey(key) };
}
