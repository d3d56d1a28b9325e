/**
 * Seam 7, ssh2's cipher makers: `createCipher` and `createDecipher` give our own
 * chacha20-poly1305@openssh.com (../cipher/) and ssh2's for everything else. ssh2's kex.js copies both
 * functions when it is first loaded, so this module must be evaluated before it (see transport.ts).
 */
import cryptoParts from "ssh2/lib/protocol/crypto.js";
import {
  ChaChaPolyCipher,
  ChaChaPolyDecipher,
  type InboundConfig,
  type OutboundConfig,
} from "../cipher/chacha_poly.ts";

/** ssh2's name of the cipher. */
const CHACHA = "chacha20";

interface CipherMakers {
  createCipher(
    config: OutboundConfig & { outbound: { cipherInfo?: { sslName: string } } },
  ): unknown;
  createDecipher(
    config: InboundConfig & { inbound: { decipherInfo?: { sslName: string } } },
  ): unknown;
}

const makers = cryptoParts as unknown as CipherMakers;
const { createCipher, createDecipher } = makers;

makers.createCipher = (config) =>
  config.outbound.cipherInfo?.sslName === CHACHA
    ? new ChaChaPolyCipher(config)
    : createCipher(config);

makers.createDecipher = (config) =>
  config.inbound.decipherInfo?.sslName === CHACHA
    ? new ChaChaPolyDecipher(config)
    : createDecipher(config);
