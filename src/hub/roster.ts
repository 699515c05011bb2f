/** What a {@link Roster} reports. */
export interface RosterHandler {
  /** A user has come, or has gone, seen over all replicas. */
  readonly changed: (user: string, isThere: boolean) => void;
  /** A user's first connection to this replica has come, or the last has gone: the other replicas want to know. */
  readonly announce: (user: string, isHere: boolean) => void;
  /** Nobody here holds it any more. */
  readonly closed: () => void;
}

/** Who is subscribed to one topic, over all replicas, for as long as somebody here is. */
export class Roster {
  readonly #handler: RosterHandler;
  /** Connections of each user to this replica. */
  readonly #here = new Map<string, number>();
  /** Users of each other replica. */
  readonly #elsewhere = new Map<string, Set<string>>();
  /** What was heard of users of other replicas since these were asked: it is newer than their answers. */
  #heard: Map<string, Set<string>> | undefined;
  /** Connections here, anonymous ones too, and those that are on their way in. */
  #holds = 0;
  /** Resolves when the other replicas have answered. */
  opened: Promise<void> = Promise.resolve();

  constructor(handler: RosterHandler) {
    this.#handler = handler;
  }

  /** Users with a connection anywhere, in no order. */
  get users(): string[] {
    return [...new Set([...this.#here.keys(), ...[...this.#elsewhere.values()].flatMap((users) => [...users])])];
  }

  /** Users with a connection here. */
  get usersHere(): string[] {
    return [...this.#here.keys()];
  }

  /** Other replicas with users. */
  get replicas(): Iterable<string> {
    return this.#elsewhere.keys();
  }

  /** Keeps it until {@link release}. */
  hold(): void {
    this.#holds++;
  }

  release(): void {
    this.#holds--;
    if (this.#holds === 0) this.#handler.closed();
  }

  /** A connection of a user's, which holds it, has come. */
  join(user: string): void {
    const count = this.#here.get(user) ?? 0;
    const wasThere = this.#isThere(user);
    this.#here.set(user, count + 1);
    this.#compare(user, wasThere);
    if (count === 0) this.#handler.announce(user, true);
  }

  /** It has gone. */
  leave(user: string): void {
    const count = this.#here.get(user) ?? 0;
    if (count > 1) {
      this.#here.set(user, count - 1);
      return;
    }
    this.#here.delete(user);
    this.#compare(user, true);
    this.#handler.announce(user, false);
  }

  /** Another replica says that a user has come to it or gone from it. */
  change(replica: string, user: string, isThere: boolean): void {
    if (this.#heard) addTo(this.#heard, replica, user);
    this.#set(replica, user, isThere);
  }

  /** Another replica says who is there. */
  replace(replica: string, users: readonly string[]): void {
    const now = new Set(users);
    const before = [...(this.#elsewhere.get(replica) ?? [])];
    for (const user of before) if (!now.has(user)) this.#set(replica, user, false);
    for (const user of now) this.#set(replica, user, true);
  }

  /** The other replicas are being asked. Call what is returned with what they have answered. */
  beginAsking(): (answers: readonly { replica: string; users: readonly string[] }[]) => void {
    const heard = new Map<string, Set<string>>();
    this.#heard = heard;
    return (answers) => {
      for (const { replica, users } of answers) {
        const newer = heard.get(replica) ?? new Set();
        const known = [...(this.#elsewhere.get(replica) ?? [])].filter((user) => newer.has(user));
        this.replace(replica, [...users.filter((user) => !newer.has(user)), ...known]);
      }
      if (this.#heard === heard) this.#heard = undefined;
    };
  }

  #isThere(user: string): boolean {
    return this.#here.has(user) || [...this.#elsewhere.values()].some((users) => users.has(user));
  }

  #set(replica: string, user: string, isThere: boolean): void {
    const wasThere = this.#isThere(user);
    if (isThere) {
      addTo(this.#elsewhere, replica, user);
    } else {
      const users = this.#elsewhere.get(replica);
      users?.delete(user);
      if (users?.size === 0) this.#elsewhere.delete(replica);
    }
    this.#compare(user, wasThere);
  }

  #compare(user: string, wasThere: boolean): void {
    const isThere = this.#isThere(user);
    if (isThere !== wasThere) this.#handler.changed(user, isThere);
  }
}

function addTo(sets: Map<string, Set<string>>, key: string, value: string): void {
  const set = sets.get(key) ?? new Set();
  sets.set(key, set.add(value));
}
