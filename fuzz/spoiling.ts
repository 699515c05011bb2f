import type { Random } from "../chaos/random.ts";
import type { Configuration } from "./configuration.ts";
import { type Request, setHeader } from "./request.ts";

/** One way to spoil a request. */
export type Spoiling = (request: Request, random: Random, configuration: Configuration) => void;

/** Sets a header to one of the values, or takes it away where that is undefined. */
export function headerOf(name: string, values: readonly (string | undefined)[]): Spoiling {
  return (request, random) => setHeader(request, name, random.pick(values));
}

/** The same; now and then another of the name comes behind it. */
export function repeatedHeaderOf(name: string, values: readonly (string | undefined)[]): Spoiling {
  const spoilOne = headerOf(name, values);
  return (request, random, configuration) => {
    spoilOne(request, random, configuration);
    if (random.chance(0.2)) request.headers.push([name, "other"]);
  };
}

/**
 * Spoils a request in one way, now and then in two.
 *
 * @param names of the spoilings to choose from; one that is there several times is chosen more often
 * @returns the names of those that were chosen
 */
export function spoil(
  request: Request,
  random: Random,
  configuration: Configuration,
  spoilings: Readonly<Record<string, Spoiling>>,
  names: readonly string[] = Object.keys(spoilings),
): readonly string[] {
  const chosen = Array.from({ length: random.chance(0.2) ? 2 : 1 }, () => random.pick(names));
  for (const name of chosen) spoilings[name]?.(request, random, configuration);
  return chosen;
}
