import type { Broker } from "../broker/broker.ts";
import type { Credentials } from "../credentials.ts";
import type { Log } from "../log.ts";
import { broadcastStream } from "../protocol/streams.ts";

/** Which tokens are not valid any more: those that all given members hold for. At least one is given. */
export interface Revocation {
  readonly user?: string | undefined;
  /** The token's id, `jti`. */
  readonly jti?: string | undefined;
  /** Tokens issued before it, in ms since the Unix epoch, and those that do not say when; undefined: whenever they were issued. */
  readonly beforeMs?: number | undefined;
  /** Until when it holds, in ms since the Unix epoch: when the last of these tokens has expired. */
  readonly expiresAtMs: number;
}

/** To the broadcast stream, so to every replica: these tokens are not valid any more. Answer: true. */
interface RevocationQuestion {
  readonly kind: "revoke";
  readonly revocation: Revocation;
}

type Which = Pick<Revocation, "user" | "jti">;

/** All revocations that name the same tokens, but for when they were issued. */
interface Rule {
  readonly beforeMs: number;
  readonly expiresAtMs: number;
}

/** Pause before the revocations are read again when they could not be, in ms. */
const retryMs = 500;

/**
 * The revocations that are in force, as this replica knows them. They are kept by the broker, from which a replica reads them
 * when it starts and whenever it was cut off; what comes in between it is told.
 */
export class Revocations {
  readonly #broker: Broker;
  readonly #log: Log;
  readonly #onChange: () => void;
  /** By user and token id, either of which may be open; no more than the broker keeps. */
  readonly #rules = new Map<string, Rule>();
  #isLoaded = false;
  #loading: Promise<void> | undefined;
  #retry: NodeJS.Timeout | undefined;
  #isClosed = false;

  /** @param onChange told when there are new ones, after which connections may have to be closed */
  constructor(broker: Broker, log: Log, onChange: () => void) {
    this.#broker = broker;
    this.#log = log;
    this.#onChange = onChange;
  }

  /** Resolves when they were read once; rejects with `unavailable` when they could not be. */
  async loaded(): Promise<void> {
    if (this.#isLoaded) return;
    try {
      await this.#loading;
    } catch {
      // In a cluster the first try may be over before the server is reached that keeps them. Who comes together tries once.
      if (this.#retry) this.load();
      await this.#loading;
    }
  }

  /** Reads what the broker keeps, until that succeeds. */
  load(): void {
    clearTimeout(this.#retry);
    this.#retry = undefined;
    this.#loading = this.#load();
    this.#loading.catch((error: unknown) => {
      if (this.#broker.up) this.#log.warn({ err: error }, "the revocations could not be read; trying again");
      if (!this.#isClosed) this.#retry = setTimeout(() => this.load(), retryMs);
    });
  }

  async #load(): Promise<void> {
    const texts = await this.#broker.revocations();
    this.#forgetExpired();
    for (const text of texts) this.#remember(JSON.parse(text) as Revocation);
    this.#isLoaded = true;
    this.#onChange();
  }

  /**
   * Has the broker keep a revocation.
   *
   * @throws BelfryError `unavailable`, also when it keeps as many as it may
   */
  async keep(revocation: Revocation): Promise<void> {
    await this.#broker.addRevocation(JSON.stringify(revocation), revocation.expiresAtMs);
  }

  /**
   * Tells every replica of a revocation that is kept, this one included.
   *
   * @throws BelfryError `unavailable`
   */
  async tell(revocation: Revocation): Promise<void> {
    const question: RevocationQuestion = { kind: "revoke", revocation };
    await this.#broker.ask(broadcastStream, question);
  }

  /** Takes what a replica tells, this one among them; undefined when that is no revocation. */
  answer(question: unknown): true | undefined {
    const told = question as RevocationQuestion | null;
    if (told?.kind !== "revoke") return undefined;
    this.#forgetExpired();
    this.#remember(told.revocation);
    this.#onChange();
    return true;
  }

  /** True when what a client was let in with was revoked. */
  cover({ user, token }: Credentials): boolean {
    if (!token) return false;
    const { id, issuedAtMs = Number.NEGATIVE_INFINITY } = token;
    const of = { user: user ?? undefined };
    const which = id === undefined ? [{}, of] : [{}, of, { jti: id }, { ...of, jti: id }];
    const now = Date.now();
    return which.some((one) => {
      const rule = this.#rules.get(keyOf(one));
      return rule !== undefined && issuedAtMs < rule.beforeMs && now < rule.expiresAtMs;
    });
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#retry);
  }

  #remember(revocation: Revocation): void {
    const { beforeMs = Number.POSITIVE_INFINITY, expiresAtMs } = revocation;
    const key = keyOf(revocation);
    const known = this.#rules.get(key) ?? { beforeMs, expiresAtMs };
    this.#rules.set(key, {
      beforeMs: Math.max(beforeMs, known.beforeMs),
      expiresAtMs: Math.max(expiresAtMs, known.expiresAtMs),
    });
  }

  #forgetExpired(): void {
    const now = Date.now();
    for (const [key, { expiresAtMs }] of this.#rules) if (expiresAtMs <= now) this.#rules.delete(key);
  }
}

function keyOf({ user, jti }: Which): string {
  return JSON.stringify([user ?? null, jti ?? null]);
}
