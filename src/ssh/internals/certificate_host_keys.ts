/**
 * Seam 1, ssh2's key parser: `parseDERKey(blob without type, type)` learns certificate types, for
 * which it gives the plain key inside. ssh2's kex.js copies the function when it is first loaded, so
 * this module must be evaluated before it (see transport.ts, whose first import this is).
 *
 * Whether the certificate is to be trusted is not decided here but in the host verifier.
 */
import { Buffer } from "node:buffer";
import keyParser from "ssh2/lib/protocol/keyParser.js";
import { isCertificateType, parseSshCertificate } from "../../certificates/ssh.ts";
import { blobType } from "../../certificates/ssh_key.ts";
import { string } from "../wire.ts";

type ParseDerKey = (data: Uint8Array, type: string) => unknown;
const exported = keyParser as { parseDERKey: ParseDerKey };
const parsePlain = exported.parseDERKey;

/** ssh2's answer to a key that it cannot read is an Error given back, not thrown. */
exported.parseDERKey = (data, type) => {
  if (!isCertificateType(type)) return parsePlain(data, type);
  try {
    const { publicKey } = parseSshCertificate(Buffer.concat([string(type), data]));
    const plain = blobType(publicKey);
    return parsePlain(publicKey.subarray(4 + plain.length), plain);
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
};
