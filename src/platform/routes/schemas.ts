/** Parts that the routes' descriptions share. */
import { z } from "@hono/zod-openapi";

/** Says that a call wants a bearer token. */
export const BEARER = [{ bearer: [] }];

const errorSchema = z.object({
  statusCode: z.number().int(),
  message: z.string(),
  error: z.string(),
}).openapi("Error");

/** A JSON body that must be there. */
export function jsonBody<T extends z.ZodType>(schema: T) {
  return { required: true, content: { "application/json": { schema } } };
}

/** A JSON body that may be missing. */
export function optionalJsonBody<T extends z.ZodType>(schema: T) {
  return { required: false, content: { "application/json": { schema } } };
}

/** An answer of 200, and what errors look like. */
export function answers<T extends z.ZodType>(description: string, schema: T) {
  const json = { "application/json": { schema: errorSchema } };
  return {
    200: { description, content: { "application/json": { schema } } },
    default: { description: "Refused: see statusCode and message", content: json },
  };
}

/** What calls answer that have nothing to tell. */
export const acknowledgement = z.object({ message: z.string() });

/** Registration of a gateway (protocol.md). */
export const gatewayAnswer = z.object({
  gatewayId: z.string(),
  relayHost: z.string(),
  pki: pki(),
  ssh: z.object({
    clientCertificate: z.string(),
    clientPrivateKey: z.string(),
    serverCAPublicKey: z.string(),
  }),
}).openapi("GatewayRegistration");

/** Registration of a relay (protocol.md). */
export const relayAnswer = z.object({
  pki: pki(),
  ssh: z.object({
    serverCertificate: z.string(),
    serverPrivateKey: z.string(),
    clientCAPublicKey: z.string(),
  }),
}).openapi("RelayRegistration");

function pki() {
  return z.object({
    serverCertificate: z.string(),
    serverPrivateKey: z.string(),
    clientCertificateChain: z.string(),
  });
}
