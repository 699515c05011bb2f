/** A host and its port. */
export interface RedisHost {
  readonly host: string;
  readonly port: number;
}

/** What REDIS_URL says. */
export interface RedisTarget {
  readonly kind: "standalone" | "sentinel" | "cluster";
  /** The server; the sentinels; or some nodes of the cluster, from which the others are learned. One or more. */
  readonly hosts: readonly RedisHost[];
  /** TLS to the server, and to the sentinels. */
  readonly tls: boolean;
  readonly username: string | undefined;
  readonly password: string | undefined;
  /** Number of the database; a cluster has only 0. */
  readonly db: number;
  /** Name that the sentinels know the master by; empty where there are none. */
  readonly master: string;
  readonly sentinelUsername: string | undefined;
  readonly sentinelPassword: string | undefined;
}

/** What a wrong REDIS_URL is told. */
export const redisUrlForms =
  "is not a URL like redis://host:6379/0, rediss://user:password@host:6380, " +
  "redis+sentinel://host:26379,host:26379/master or redis+cluster://host:6379,host:6379";

const pattern =
  /^redis(?<tls>s?)(?:\+(?<kind>sentinel|cluster))?:\/\/(?:(?<user>[^:@/?]*)(?::(?<password>[^@/?]*))?@)?(?<hosts>[^@/?#]+)(?:\/(?<path>[^?#]*))?(?:\?(?<query>[^#]*))?$/;

/**
 * Reads REDIS_URL: `redis://[user:password@]host[:port][/db]`,
 * `redis+sentinel://[user:password@]host[:port][,…]/master[/db][?sentinelUsername=…&sentinelPassword=…]` or
 * `redis+cluster://[user:password@]host[:port][,…]`, each with `rediss` for TLS. User, password and query are percent-encoded.
 *
 * @returns undefined when it is none of these
 */
export function parseRedisUrl(url: string): RedisTarget | undefined {
  const groups = pattern.exec(url)?.groups;
  if (!groups) return undefined;
  const { tls, kind = "standalone", user, password, hosts: list = "", path = "", query } = groups;
  const hosts = list.split(",").map((entry) => parseHost(entry, kind === "sentinel" ? 26379 : 6379));
  const place = parsePath(kind as RedisTarget["kind"], path);
  if (!hosts.every((host) => host !== undefined) || !place) return undefined;
  if (kind === "standalone" && hosts.length > 1) return undefined;
  try {
    const parameters = parseQuery(kind, query);
    if (!parameters) return undefined;
    return {
      kind: kind as RedisTarget["kind"],
      hosts,
      tls: tls === "s",
      username: user ? decodeURIComponent(user) : undefined,
      password: password ? decodeURIComponent(password) : undefined,
      ...place,
      ...parameters,
    };
  } catch {
    // A percent sign that encodes nothing.
    return undefined;
  }
}

function parseHost(entry: string, defaultPort: number): RedisHost | undefined {
  const match = /^(?:\[([0-9a-f:.]+)\]|([^:[\]\s]+))(?::(\d{1,5}))?$/i.exec(entry);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3] ?? defaultPort);
  return host && port >= 1 && port <= 65535 ? { host, port } : undefined;
}

function parsePath(kind: RedisTarget["kind"], path: string): { master: string; db: number } | undefined {
  const { master = "", db } =
    (kind === "sentinel" ? /^(?<master>[^/]+)(?:\/(?<db>\d{1,5}))?$/ : /^(?<db>\d{1,5})?$/).exec(path)?.groups ?? {};
  const isWrong = kind === "sentinel" ? master === "" : path !== "" && db === undefined;
  if (isWrong || (kind === "cluster" && Number(db ?? 0) !== 0)) return undefined;
  return { master, db: Number(db ?? 0) };
}

function parseQuery(kind: string, query = ""): Pick<RedisTarget, "sentinelUsername" | "sentinelPassword"> | undefined {
  // Not URLSearchParams, which takes a plus sign for a space.
  const pairs = query === "" ? [] : query.split("&").map((pair) => pair.split("=", 2));
  const parameters = new Map(pairs.map(([name = "", value = ""]) => [name, value]));
  const known = kind === "sentinel" ? ["sentinelUsername", "sentinelPassword"] : [];
  if (![...parameters.keys()].every((name) => known.includes(name))) return undefined;
  const [sentinelUsername, sentinelPassword] = ["sentinelUsername", "sentinelPassword"].map((name) => {
    const value = parameters.get(name);
    return value ? decodeURIComponent(value) : undefined;
  });
  return { sentinelUsername, sentinelPassword };
}
