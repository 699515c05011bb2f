import type { Random } from "../chaos/random.ts";
import { cut } from "./bytes.ts";

/** One input: what is sent over a socket of its own, and what must come of it. */
export interface Case {
  /** What it is thrown at. */
  readonly kind: "handshake" | "frames" | "api";
  /** Which of the kind's generators made it. */
  readonly name: string;
  /** Written one after the other, so that the service reads them apart. */
  readonly chunks: readonly Buffer[];
  /** The second chunk is not written before the first was answered. */
  readonly isUpgradeAwaited: boolean;
  /** What the client does when all is written: it listens until nothing more comes, ends its side, or breaks off at once. */
  readonly ending: "listen" | "end" | "reset";
  /** An answer must come, since the input is a whole request, whatever may be wrong with it. */
  readonly isAnswered: boolean;
}

/** Whether bytes go out at once or in pieces, and what the client does then. */
export function howSent(random: Random, bytes: Buffer): Pick<Case, "chunks" | "ending"> {
  const chunks = random.chance(0.25) ? cut(random, bytes) : [bytes];
  const dice = random.next();
  return { chunks, ending: dice < 0.7 ? "listen" : dice < 0.9 ? "end" : "reset" };
}
