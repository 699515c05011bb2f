import { z } from "zod";
import { storedMessage } from "./schemas.ts";

/** Query of a publish. */
export const waitQuerySchema = z.object({
  wait: z
    .literal("ack")
    .optional()
    .meta({ description: "ack: answer when all live receivers have acked the message, or time is over." }),
  timeout: z
    .string()
    .regex(/^([1-9][0-9]{0,4}|100000)$/, "expected a whole number from 1 to 100000")
    .optional()
    .meta({ description: "With wait: how long acks are waited for, in ms; default 5000." }),
});

/** Query of a batch. */
export const batchQuerySchema = z.object({
  wait: z
    .never("a batch does not wait; publish what you want acks of by itself")
    .optional()
    .meta({ description: "A batch does not wait." }),
});

const acks = z.array(z.object({ user: z.string().nullable(), connection: z.string() }));

/** Answer of a publish that waited. */
export const acksSchema = z
  .object({
    id: z.string().meta({ description: "The message's id, as the clients see it." }),
    receivers: z.int().min(0).meta({ description: "Connections on all replicas that it was handed to." }),
    acks: acks.meta({ description: "Those that have acked it; at most 10,000 of each replica are named." }),
    complete: z.boolean().meta({ description: "All have." }),
  })
  .meta({ id: "Acks" });

/** Answer of `GET /messages/:id`. */
export const foundMessageSchema = z
  .object({
    ...storedMessage,
    acked: z.boolean().meta({
      description:
        "A user's message: any of the user's connections has acked it, at whatever time. Others: one that is connected has.",
    }),
    acks: acks.meta({ description: "The connections now connected that have acked it." }),
  })
  .meta({ id: "FoundMessage" });
