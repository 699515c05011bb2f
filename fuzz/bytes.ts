import type { Random } from "../chaos/random.ts";

/** Some random bytes. */
export function randomBytes(random: Random, length: number): Buffer {
  return Buffer.from(Array.from({ length }, () => random.between(0, 255)));
}

/** One of a list of ways to change bytes, some times: flipped, cut off, left out, put in, doubled, overwritten. */
export function mutate(random: Random, bytes: Buffer): Buffer {
  let mutated = bytes;
  for (let times = random.between(1, 4); times > 0; times--) mutated = random.pick(mutations)(random, mutated);
  return mutated;
}

type Mutation = (random: Random, bytes: Buffer) => Buffer;

const mutations: readonly Mutation[] = [flip, flip, overwrite, insert, remove, double, truncate];

/** Bytes that mean something to somebody who parses. */
const telling = Buffer.from('\0\r\n\t :;,="{}[]\\%/?#\x7f\xff\xc0\x80-+09', "latin1");

function flip(random: Random, bytes: Buffer): Buffer {
  const flipped = Buffer.from(bytes);
  const at = random.between(0, Math.max(0, flipped.length - 1));
  if (flipped.length > 0) flipped[at] = (flipped[at] ?? 0) ^ (1 << random.between(0, 7));
  return flipped;
}

function overwrite(random: Random, bytes: Buffer): Buffer {
  const overwritten = Buffer.from(bytes);
  if (bytes.length > 0) overwritten[random.between(0, bytes.length - 1)] = random.pick([...telling]);
  return overwritten;
}

function insert(random: Random, bytes: Buffer): Buffer {
  const at = random.between(0, bytes.length);
  const inserted = random.chance(0.5) ? Buffer.from([random.pick([...telling])]) : randomBytes(random, 3);
  return Buffer.concat([bytes.subarray(0, at), inserted, bytes.subarray(at)]);
}

function remove(random: Random, bytes: Buffer): Buffer {
  const [start, end] = slice(random, bytes);
  return Buffer.concat([bytes.subarray(0, start), bytes.subarray(end)]);
}

function double(random: Random, bytes: Buffer): Buffer {
  const [start, end] = slice(random, bytes);
  return Buffer.concat([bytes.subarray(0, end), bytes.subarray(start)]);
}

function truncate(random: Random, bytes: Buffer): Buffer {
  return bytes.subarray(0, random.between(0, bytes.length));
}

function slice(random: Random, bytes: Buffer): [start: number, end: number] {
  const start = random.between(0, bytes.length);
  return [start, Math.min(bytes.length, start + random.between(1, 40))];
}

/** Cuts bytes into a few chunks at random places; now and then, where they are few, into single bytes. */
export function cut(random: Random, bytes: Buffer): Buffer[] {
  if (bytes.length < 600 && random.chance(0.05)) return Array.from(bytes, (byte) => Buffer.from([byte]));
  const places = Array.from({ length: random.between(1, 4) }, () => random.between(0, bytes.length));
  const ends = [...places.toSorted((a, b) => a - b), bytes.length];
  return ends.map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end)).filter(({ length }) => length > 0);
}
