import type { Authenticator } from "./auth/authenticator.ts";
import { isOriginAllowed } from "./auth/origins.ts";
import type { AllowedOrigin } from "./config-values.ts";
import type { Credentials } from "./credentials.ts";
import { BelfryError } from "./errors.ts";
import type { Admission } from "./hub/admission.ts";
import type { Hub } from "./hub/hub.ts";
import { parseSince, type Resumption } from "./protocol/since.ts";

/** Settings of {@link Entrance}. */
export interface EntranceOptions {
  readonly hub: Pick<Hub, "admit" | "dismiss">;
  readonly authenticator: Authenticator;
  readonly allowedOrigins: readonly AllowedOrigin[];
  /** Let clients in that present nothing. */
  readonly allowAnonymous: boolean;
  /** Connections of this replica, whatever their transport; undefined: not limited. */
  readonly maxConnections?: number | undefined;
  /** Handshakes that wait for Redis or for the keys of tokens, and closes of those who were not let in; default 5,000. */
  readonly maxHandshakes?: number;
}

/** What a client says when it comes, by whichever transport. */
export interface Arrival {
  /** The page that it is a part of; undefined when it is no browser. */
  readonly origin: string | undefined;
  /** The flag or the token; undefined: none. */
  readonly presented: string | undefined;
  /** What it resumes, as the query of a URL; see {@link parseSince}. */
  readonly query: string;
}

/** What has one of the places: the socket of a client that was let in. */
export interface Occupant {
  /** Cuts it. */
  terminate(): void;
}

/** Fewer would turn away those who all come back at once when another replica has died. */
const defaultMaxHandshakes = 5000;

/** Seconds after which a client that found the replica full or draining may come back. */
const retryAfterSeconds = 2;

/** Nothing was presented, and that is allowed. */
const anonymous: Credentials = { user: null };

/** Decides who is let in, and knows how many there are, for all transports together. */
export class Entrance {
  readonly #options: EntranceOptions;
  readonly #occupants = new Set<Occupant>();
  /** Those that were let in to be told why they are not. */
  readonly #turnedAway = new Set<Occupant>();
  /** Under way. */
  #handshakes = 0;
  /** Of these, those of clients that may connect. */
  #admitting = 0;
  #draining = false;
  #onEmpty: (() => void)[] = [];

  constructor(options: EntranceOptions) {
    this.#options = options;
  }

  /**
   * Lets a client in or does not.
   *
   * @param open registers the connection, whose streams are subscribed by then, and lets it occupy its place; false: it
   *   did not come about. What it throws is thrown on
   * @throws BelfryError `forbidden` for its origin, `unavailable` when draining, full or without Redis, `unauthorized`,
   *   `malformed`
   */
  async enter(
    { origin, presented, query }: Arrival,
    open: (credentials: Credentials, admission: Admission) => boolean,
  ): Promise<void> {
    const { authenticator, allowAnonymous, maxHandshakes = defaultMaxHandshakes } = this.#options;
    this.checkOrigin(origin);
    if (this.#draining) throw draining();
    if (this.#handshakes + this.#turnedAway.size >= maxHandshakes) {
      throw new BelfryError("unavailable", "too many handshakes are under way", { retryAfterSeconds });
    }
    this.#checkRoom();
    if (presented === undefined && !allowAnonymous) {
      throw new BelfryError(
        "unauthorized",
        "say who you are: send the user id or token in Sec-WebSocket-Protocol, or as Authorization: Bearer",
      );
    }
    const since = parseSince(query);
    if (typeof since === "string") throw new BelfryError("malformed", since);
    this.#handshakes++;
    try {
      const credentials = presented === undefined ? anonymous : await authenticator.authenticate(presented);
      await this.#admit(credentials, since, open);
    } finally {
      this.#handshakes--;
    }
  }

  /** Whether a page of this origin may connect; undefined: no browser. */
  isOriginAllowed(origin: string | undefined): boolean {
    return isOriginAllowed(origin, this.#options.allowedOrigins);
  }

  /** @throws BelfryError `forbidden` */
  checkOrigin(origin: string | undefined): void {
    if (this.isOriginAllowed(origin)) return;
    throw new BelfryError("forbidden", "pages of this origin may not connect; ALLOWED_ORIGINS names those that may");
  }

  /** Takes a place, until {@link leave}. */
  occupy(occupant: Occupant): void {
    this.#occupants.add(occupant);
  }

  /** Counts one apart from the places that is only told why it is not let in, until {@link leave}. */
  turnAway(occupant: Occupant): void {
    this.#occupants.delete(occupant);
    this.#turnedAway.add(occupant);
  }

  /** Its socket has closed. */
  leave(occupant: Occupant): void {
    this.#occupants.delete(occupant);
    this.#turnedAway.delete(occupant);
    if (this.#isEmpty) for (const resolve of this.#onEmpty.splice(0)) resolve();
  }

  /** From here on nobody is let in. */
  drain(): void {
    this.#draining = true;
  }

  /** Cuts every socket that is still open. */
  terminate(): void {
    for (const occupant of [...this.#occupants, ...this.#turnedAway]) occupant.terminate();
  }

  /** Resolves when no socket is open any more, not even one that is being closed. */
  async closed(): Promise<void> {
    while (!this.#isEmpty) await new Promise<void>((resolve) => this.#onEmpty.push(resolve));
  }

  async #admit(
    credentials: Credentials,
    since: Resumption,
    open: (credentials: Credentials, admission: Admission) => boolean,
  ): Promise<void> {
    const { hub } = this.#options;
    // Now it counts as a connection; those who may not connect take no place from others.
    this.#checkRoom();
    this.#admitting++;
    try {
      const admission = await hub.admit(credentials, since);
      let isOpen = false;
      try {
        if (this.#draining) throw draining();
        isOpen = open(credentials, admission);
      } finally {
        if (!isOpen) hub.dismiss(admission);
      }
    } finally {
      this.#admitting--;
    }
  }

  #checkRoom(): void {
    const { maxConnections = Number.POSITIVE_INFINITY } = this.#options;
    if (this.#occupants.size + this.#admitting < maxConnections) return;
    throw new BelfryError("unavailable", "this replica is full", { retryAfterSeconds });
  }

  get #isEmpty(): boolean {
    return this.#occupants.size + this.#turnedAway.size === 0;
  }
}

function draining(): BelfryError {
  return new BelfryError("unavailable", "this replica is shutting down", { retryAfterSeconds });
}
