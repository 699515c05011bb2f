import { z } from "zod";
import { BelfryError, type InvalidInput } from "../errors.ts";
import { maxTtlSeconds } from "../hub/messages.ts";
import { maxRequestTimeoutMs } from "../hub/requests.ts";
import { parseId } from "../protocol/positions.ts";
import { broadcastStream, type Scope, type Stream, scopeLetter, topicStream, userStream } from "../protocol/streams.ts";
import { isName, maxNameLength, nameExpected } from "../protocol/user-ids.ts";

/** Most messages in one batch. */
const maxBatchMessages = 1000;

/** Ids, topics, events, keys: JSON Schema counts characters as we do, in code points. */
const nameSchema = z.string().refine(isName, nameExpected).meta({ minLength: 1, maxLength: maxNameLength });

const message = {
  data: z.unknown().meta({ description: "Any JSON value; reaches the clients exactly as it is sent." }),
  event: nameSchema.optional().meta({ description: "Name of what happened." }),
  ttl: z
    .number()
    .min(0)
    .max(maxTtlSeconds)
    .optional()
    .meta({ description: "Seconds for which the message matters; 0: live only, not stored." }),
  collapse: nameSchema
    .optional()
    .meta({ description: "Of the messages in one stream with the same key only the newest matters." }),
};

/** Body of a publish. */
export const messageSchema = z.strictObject(message).meta({ id: "Message" });

/** Body of a request to a user. */
export const requestSchema = z
  .strictObject({
    data: z.unknown().meta({ description: "Any JSON value; reaches the clients exactly as it is sent." }),
    event: nameSchema.optional().meta({ description: "Name of what is asked." }),
    timeout: z
      .int()
      .min(1)
      .max(maxRequestTimeoutMs)
      .optional()
      .meta({ description: "How long a reply is waited for, in ms; default 10000." }),
  })
  .meta({ id: "Request" });

/** Answer of a request to a user. */
export const replySchema = z
  .object({
    data: z.unknown().meta({ description: "Exactly as the client sent it." }),
    connection: z.string().meta({ description: "The connection that replied." }),
  })
  .meta({ id: "Reply" });

const to = z
  .union([z.literal("broadcast"), z.strictObject({ user: nameSchema }), z.strictObject({ topic: nameSchema })])
  .meta({
    id: "Recipient",
    description: "Where a message goes.",
  });

/** A message that says itself where it goes: in a batch, and on the Redis channel for backends. */
export const addressedMessageSchema = z.strictObject({ to, ...message }).meta({ id: "AddressedMessage" });
/** A message that says itself where it goes, valid. */
export type AddressedMessage = z.output<typeof addressedMessageSchema>;

/**
 * Body of a batch. Its messages are checked one by one, since one that is wrong does not keep the others back: anything is
 * taken in their place, and described so.
 */
export const batchSchema = z
  .strictObject({
    messages: z
      .array(z.unknown())
      .max(maxBatchMessages)
      .meta({
        items: {
          description: "What is no AddressedMessage gets an error in its place.",
          anyOf: [{ $ref: "#/components/schemas/AddressedMessage" }, {}],
        },
      }),
  })
  .meta({ id: "Batch" });

/** A frame of a client's: what is wrong with one is said on the stream, as a WebSocket would say it. */
export const clientFrameSchema = z.unknown().meta({
  id: "ClientFrame",
  description:
    "What a client could send over its WebSocket; of what is no such frame an error frame tells on the stream.",
});

/** The stream that `to` names. */
export function streamOf(recipient: AddressedMessage["to"]): Stream {
  if (recipient === "broadcast") return broadcastStream;
  return "user" in recipient ? userStream(recipient.user) : topicStream(recipient.topic);
}

/** What the API answers, for its description. */
export const answers = {
  receipt: z
    .object({
      id: z.string().meta({ description: "The message's id, as the clients see it." }),
      receivers: z.int().min(0).meta({
        description:
          "Connections of this replica that it was handed to, plus the number of other replicas it was handed to.",
      }),
    })
    .meta({ id: "Receipt" }),
  user: z
    .object({
      user: z.string(),
      online: z.boolean(),
      connections: z.array(
        z.object({
          connection: z.string(),
          replica: z.string(),
          transport: z.enum(["ws", "sse"]),
          connectedAt: z.int().meta({ description: "In ms since the Unix epoch." }),
          remote: z.string().meta({ description: "Address of the client." }),
        }),
      ),
    })
    .meta({ id: "User" }),
  topic: z
    .object({
      topic: z.string(),
      subscribers: z.int().min(0).meta({ description: "Number of connections." }),
      users: z.array(z.string()).meta({
        description: "Whose they are, each user once, anonymous ones left out; at most 10,000 of each replica.",
      }),
    })
    .meta({ id: "Topic" }),
  presence: z
    .object({
      users: z.array(z.object({ user: z.string(), online: z.boolean(), connections: z.int().min(0) })),
    })
    .meta({ id: "Presence" }),
  userTopics: z.object({ user: z.string(), topics: z.array(z.string()) }).meta({ id: "UserTopics" }),
  userTopic: z
    .object({
      user: z.string(),
      topic: z.string(),
      connections: z.int().min(0).meta({ description: "Connections that the user has now, over all replicas." }),
    })
    .meta({ id: "UserTopic" }),
  empty: z.object({}).meta({ id: "Empty" }),
  closed: z.object({ closed: z.int().min(0) }).meta({ id: "Closed" }),
  revoked: z
    .object({ until: z.int().meta({ description: "When the revocation is forgotten, in ms since the Unix epoch." }) })
    .meta({ id: "Revoked" }),
  problem: z
    .object({
      type: z.string(),
      title: z.string(),
      status: z.int(),
      detail: z.string(),
      errors: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
    })
    .meta({ id: "Problem", description: "RFC 9457 problem details." }),
};

/** Most users that are asked for at once. */
const maxPresenceUsers = 1000;

/** Body of a question for many users. */
export const presenceSchema = z
  .strictObject({ users: z.array(nameSchema).min(1).max(maxPresenceUsers) })
  .meta({ id: "PresenceQuestion" });

/** Most characters of a token's id; counted as those of a name are. */
const maxTokenIdLength = 1024;

function isTokenId(text: string): boolean {
  return text.length > 0 && text.length <= 2 * maxTokenIdLength && [...text].length <= maxTokenIdLength;
}

/** Body of a revocation. */
export const revocationSchema = z
  .strictObject({
    user: nameSchema.optional().meta({ description: "Only tokens of this user." }),
    jti: z
      .string()
      .refine(isTokenId, `expected 1 to ${maxTokenIdLength} characters`)
      .meta({ minLength: 1, maxLength: maxTokenIdLength })
      .optional()
      .meta({ description: "Only the token with this id." }),
    before: z.number().positive().optional().meta({
      description:
        "Only tokens issued before it: seconds since the Unix epoch, as in their iat, or ms. Default: now, unless jti is given.",
    }),
  })
  .refine((given) => Object.values(given).some((value) => value !== undefined), "expected user, jti or before")
  .meta({ id: "Revocation", description: "The tokens for which everything that is given holds.", minProperties: 1 });

const limit = z
  .string()
  .regex(/^([1-9][0-9]{0,2}|1000)$/, "expected a whole number from 1 to 1000")
  .optional()
  .meta({ description: "Most messages in the page, 1 to 1000; default 100. Large ones end a page earlier." });

/** Query of the calls that read the history of a stream. */
export function historyQuerySchema(scope: Scope) {
  const after = z
    .string()
    .refine((id) => parseId(id)?.scope === scope, "expected the id of a stored message of this stream")
    .optional()
    .meta({
      description: "Id of the last message known; the page begins behind it.",
      // Of the numbers with 16 digits not the last few, which no pattern tells from those that JSON cannot hold.
      pattern: `^${scopeLetter(scope)}-[0-9a-z]{1,32}-(0|[1-9][0-9]{0,14}|[1-8][0-9]{15})$`,
    });
  return z.object({ after, limit });
}

/** Members of a message in history. */
export const storedMessage = {
  id: z.string(),
  scope: z.enum(["broadcast", "user", "topic"]),
  topic: z.string().optional(),
  event: z.string().optional(),
  data: z.unknown(),
  ts: z.int().meta({ description: "When it was published, in ms since the Unix epoch." }),
};

/** Answer of the calls that read history. */
export const historyAnswerSchema = z
  .object({
    epoch: z.string(),
    first: z.int().meta({ description: "From this offset on nothing that still matters is missing." }),
    last: z.int().meta({ description: "Offset of the newest message ever published." }),
    messages: z.array(z.object(storedMessage)),
  })
  .meta({ id: "History" });

const counts = { connections: z.int(), users: z.int(), topics: z.int() };

/** Answer of `GET /stats`. */
export const statsSchema = z
  .object({
    replica: z.object({ replica: z.string(), ...counts }).meta({ description: "The replica that answers." }),
    total: z.object({ replicas: z.int(), ...counts }).meta({
      description: "All replicas together; a user or topic on several replicas counts once for each.",
    }),
    replicas: z.array(z.object({ replica: z.string(), ...counts })),
  })
  .meta({ id: "Stats" });

/** Answer of `POST /batch`. */
export const batchAnswerSchema = z
  .object({ results: z.array(z.union([answers.receipt, z.object({ error: answers.problem })])) })
  .meta({ id: "BatchAnswer" });

/**
 * Checks a value by a schema.
 *
 * @throws BelfryError `invalid` that names every place that is wrong
 */
export function validate<T extends z.ZodType>(schema: T, value: unknown, what: string): z.output<T> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new BelfryError("invalid", `${what} is not valid`, { errors: toErrors(result.error.issues) });
}

/** What a schema found, as the API says it: the place by member names and indexes, and what is wrong there. */
function toErrors(issues: readonly z.core.$ZodIssue[]): InvalidInput[] {
  return issues.flatMap((issue) => {
    const path = issue.path.map(String);
    if (issue.code === "unrecognized_keys") {
      return issue.keys.map((key) => ({ path: [...path, key].join("."), message: "unknown member" }));
    }
    const missing = issue.code === "invalid_type" && issue.message.includes("nonoptional");
    return [{ path: path.join("."), message: missing ? "required" : issue.message }];
  });
}
