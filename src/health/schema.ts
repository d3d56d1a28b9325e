/** What /status and /history answer, in one definition: for its makers, its readers, and OpenAPI. */
import * as z from "zod";

const moment = z.iso.datetime();
const count = z.number().int().nonnegative();

const errorSchema = z.object({
  code: z.string().describe("Stable name of the kind of failure."),
  message: z.string(),
  hint: z.string().optional().describe("What can be done about it."),
  at: moment,
});

/** Where the link is in its life. */
export const phaseSchema = z.enum(["starting", "connecting", "up", "draining", "down"]);

/** The answer of /status. */
export const statusSchema = z.object({
  version: z.string(),
  gateway: z.string().describe("The gateway's name."),
  gatewayId: z.string().optional(),
  ready: z.boolean().describe("Whether traffic can pass."),
  reason: z.string().describe("Why it can or cannot, one sentence."),
  phase: phaseSchema,
  since: moment.describe("Since when it is in this phase."),
  for: count.describe("Seconds in this phase."),
  relay: z.object({ name: z.string().optional(), address: z.string() }).optional()
    .describe("The relay in use or last used."),
  latency: z.number().nonnegative().optional().describe("Round trip to the relay, ms."),
  reconnects: count.describe("How often the tunnel came up again."),
  channels: z.object({ open: count, served: count, failed: count })
    .describe("Open now, and served and failed since the start."),
  targetsRefused: count.describe("Addresses that the target policy refused since the start."),
  bytes: z.object({ in: count, out: count })
    .describe("Carried since the start: in is toward targets, out is back from them."),
  certificatesEnd: moment.optional(),
  nextRenewal: moment.optional(),
  heartbeat: moment.optional().describe("The last heartbeat that the platform has taken."),
  lastError: errorSchema.optional().describe("Stays after a recovery; compare at with since."),
  errors: z.array(errorSchema.extend({ times: count })).describe("The last few, newest first."),
});

/** The answer of /status. */
export type GatewayStatus = z.output<typeof statusSchema>;

/** Kinds of events. */
export const EVENT_KINDS = [
  "started",
  "up",
  "lost",
  "moved",
  "renewed",
  "error",
  "stopping",
] as const;

const eventSchema = z.object({
  at: moment.describe("When it last happened."),
  kind: z.enum(EVENT_KINDS),
  text: z.string(),
  hint: z.string().optional(),
  code: z.string().optional().describe("Of an error."),
  times: count.describe("How often it happened in a row."),
});

/** Something that happened to the link. */
export type HistoryEvent = z.output<typeof eventSchema>;

const sampleSchema = z.object({
  at: moment.describe("The end of the time that it covers."),
  in: z.number().nonnegative().describe("Bytes a second toward targets."),
  out: z.number().nonnegative().describe("Bytes a second back from targets."),
});

/** How much was carried, over a few seconds. */
export type ThroughputSample = z.output<typeof sampleSchema>;

/** The answer of /history. */
export const historySchema = z.object({
  now: moment.describe("The gateway's clock."),
  events: z.array(eventSchema).describe("Newest first."),
  throughput: z.array(sampleSchema).describe("The last 15 minutes, oldest first."),
});

/** The answer of /history. */
export type GatewayHistory = z.output<typeof historySchema>;
