import type { HistoryPage } from "../broker/broker.ts";
import { formatId, type Position } from "../protocol/positions.ts";
import type { Since } from "../protocol/since.ts";
import type { Stream } from "../protocol/streams.ts";
import type { Welcome } from "./connection.ts";
import type { HistoryReader } from "./history-reader.ts";
import type { ConnectionInfo } from "./questions.ts";
import { planResume, type ResumePlan } from "./resume.ts";
import type { SubscribedStream } from "./subscribed-stream.ts";
import type { SubscribedStreams } from "./subscribed-streams.ts";

/** A stream that a connection is admitted to, and where it is put in it if it resumes. */
export interface AdmittedStream {
  readonly subscribed: SubscribedStream;
  /** Undefined: it begins live. */
  readonly plan: ResumePlan | undefined;
  /** What was read of the history to make the plan, from where the client is put or before. */
  readonly page?: HistoryPage | undefined;
}

/** What a connection needs to be registered: the broadcast stream, and its user's unless it is anonymous. */
export interface Admission {
  readonly streams: readonly AdmittedStream[];
  /** Connections of the user on other replicas. */
  readonly elsewhere: readonly ConnectionInfo[];
  /** What the client has of the topics that its user is subscribed to. */
  readonly topics: readonly Position[];
}

/**
 * Holds a stream for a connection and decides where in it the connection begins.
 *
 * @param sinceIn says what it has of the stream, which is in this epoch; undefined: it begins live
 * @throws BelfryError `unavailable`; nothing is held then
 */
export async function admitTo(
  stream: Stream,
  sinceIn: (epoch: string) => Since | undefined,
  streams: SubscribedStreams,
  reader: HistoryReader,
): Promise<AdmittedStream> {
  const subscribed = await streams.hold(stream);
  const { position } = subscribed;
  const since = position && sinceIn(position.epoch);
  if (!since) return { subscribed, plan: undefined };
  const isOfEpoch = since !== "earliest" && since.epoch === position.epoch;
  if (isOfEpoch && since.offset === position.offset) {
    return { subscribed, plan: { from: position, recovered: true } };
  }
  try {
    const after = isOfEpoch ? since.offset : 0;
    const page = await reader.read(stream, after);
    if (page.epoch !== subscribed.position?.epoch) await streams.refresh(subscribed);
    const plan = planResume(since, page);
    return { subscribed, plan, page: after <= plan.from.offset ? page : undefined };
  } catch (error) {
    streams.release(subscribed);
    throw error;
  }
}

/** What the client is told: where it is put in the streams that it resumes, and where the others stand. */
export function welcomeOf({ streams, topics }: Admission): Welcome {
  const [broadcast, user] = streams.map(({ subscribed: { stream, position }, plan }) => ({
    id: formatId(stream.scope, plan?.from ?? position ?? { epoch: "0", offset: 0 }),
    recovered: plan?.recovered,
  }));
  return {
    positions: { broadcast: broadcast?.id ?? "", ...(user && { user: user.id }) },
    recovered: {
      ...(broadcast?.recovered !== undefined && { broadcast: broadcast.recovered }),
      ...(user?.recovered !== undefined && { user: user.recovered }),
    },
    ...(topics.length > 0 && { topics: topics.map((position) => formatId("topic", position)) }),
  };
}
