/** What a client does after a close: come back at once, after a pause, with new credentials, or not at all. */
type Advice = "resume" | "spread" | "back-off" | "authenticate" | "stop";

interface CloseCode {
  readonly code: number;
  readonly advice: Advice;
  /** The reason sent where the closing place gives none that says more. */
  readonly reason: string;
}

/**
 * Every code that Belfry closes a connection with. Codes below 4000 are those of RFC 6455 section 7.4.1 and the IANA
 * registry; 4000 to 4999 are private use, here numbered after the HTTP status of the same meaning.
 */
export const closeCodes = {
  /** This replica drains, or the connection is of age. The reason is the window in ms to spread the return over. */
  going_away: { code: 1001, advice: "spread", reason: "0" },
  /** The client sent a binary frame. */
  unsupported_data: { code: 1003, advice: "stop", reason: "binary frames are not supported; send JSON text" },
  /** Ten malformed frames in a row. */
  policy: { code: 1008, advice: "stop", reason: "too many malformed frames in a row" },
  /** A bug in this service. */
  internal: { code: 1011, advice: "back-off", reason: "internal error" },
  /** No room for the connection just now. */
  overloaded: { code: 1013, advice: "back-off", reason: "overloaded, try again later" },
  /** Credentials bad or expired. */
  unauthorized: { code: 4401, advice: "authenticate", reason: "credentials are not valid" },
  /** Not allowed, or disconnected by the API. */
  forbidden: { code: 4403, advice: "stop", reason: "disconnected by the API" },
  /** More than SEND_BUFFER_BYTES were waiting for this client. */
  slow_consumer: { code: 4408, advice: "resume", reason: "slow consumer: too many bytes were waiting" },
  /** A newer connection of the user took this one's place. */
  replaced: { code: 4409, advice: "stop", reason: "replaced by a newer connection of the user" },
  /** The service lost its place in a stream and cannot promise completeness. */
  position_lost: { code: 4410, advice: "resume", reason: "position lost, resume" },
  /** Too many connections of the user, or too many frames. */
  too_many: { code: 4429, advice: "back-off", reason: "too many connections or frames" },
} as const satisfies Record<string, CloseCode>;

/** Names a row of {@link closeCodes}; also what metrics and logs call it. */
export type CloseCause = keyof typeof closeCodes;

/** Most bytes of UTF-8 in a close reason (RFC 6455 section 5.5: 125 for the control frame, 2 of them the code). */
export const maxReasonBytes = 123;
