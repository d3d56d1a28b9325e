/** The description of the health endpoints, OpenAPI 3.1. */
import * as z from "zod";
import { VERSION } from "../version.ts";
import { historySchema, statusSchema } from "./schema.ts";

/** One answer of an endpoint. */
interface Answer {
  description: string;
  type: string;
  schema?: z.ZodType;
}

const TEXT = "text/plain";
const JSON_TYPE = "application/json";
const alive: Answer = { description: "The process is alive.", type: TEXT };

const ENDPOINTS: Record<string, { summary: string; answers: Record<string, Answer> }> = {
  "/": {
    summary: "A page for a person.",
    answers: { 200: { description: "The page; it keeps itself up to date.", type: "text/html" } },
  },
  "/healthz": { summary: "Whether the process is alive.", answers: { 200: alive } },
  "/livez": { summary: "The same as /healthz.", answers: { 200: alive } },
  "/readyz": {
    summary: "Whether traffic can pass.",
    answers: {
      200: { description: "The tunnel is up.", type: TEXT },
      503: { description: "It is not, and why.", type: TEXT },
    },
  },
  "/status": {
    summary: "All that there is to know of the tunnel.",
    answers: { 200: { description: "Its state.", type: JSON_TYPE, schema: statusSchema } },
  },
  "/history": {
    summary: "Recent events, and throughput over the last 15 minutes.",
    answers: { 200: { description: "What it did.", type: JSON_TYPE, schema: historySchema } },
  },
  "/metrics": {
    summary: "Metrics for Prometheus.",
    answers: { 200: { description: "OpenMetrics.", type: "application/openmetrics-text" } },
  },
  "/openapi.json": {
    summary: "This description.",
    answers: { 200: { description: "OpenAPI 3.1.", type: JSON_TYPE } },
  },
};

/** Answers that every endpoint may give. */
const REFUSALS: Record<string, Answer> = {
  403: { description: "A page of another origin asks.", type: TEXT },
  405: { description: "Neither GET nor HEAD.", type: TEXT },
  421: { description: "A host name that is not served here.", type: TEXT },
};

/** The document. */
export function openApi(): Record<string, unknown> {
  const paths = Object.entries(ENDPOINTS).map(([path, { summary, answers }]) => [
    path,
    {
      get: {
        summary,
        responses: mapValues({ ...answers, ...REFUSALS }, ({ description, type, schema }) => ({
          description,
          content: { [type]: { schema: schema ? jsonSchema(schema) : { type: "string" } } },
        })),
      },
    },
  ]);
  return {
    openapi: "3.1.0",
    info: {
      title: "sallyport gateway health",
      version: VERSION,
      description:
        "What a gateway tells about itself on its own host. HEAD works wherever GET does.",
    },
    paths: Object.fromEntries(paths),
  };
}

function jsonSchema(schema: z.ZodType): unknown {
  const { $schema: _, ...rest } = z.toJSONSchema(schema);
  return rest;
}

function mapValues<T, U>(object: Record<string, T>, change: (value: T) => U): Record<string, U> {
  return Object.fromEntries(Object.entries(object).map(([key, value]) => [key, change(value)]));
}
