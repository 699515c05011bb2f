import { describe, expect, it } from "vitest";
import {
  broadcastStream,
  parseStreamKey,
  scopeLetter,
  topicStream,
  userStream,
} from "../../../src/protocol/streams.ts";

describe("streams", () => {
  it.each([
    ["b", broadcastStream, "broadcast", ""],
    ["u:alice", userStream("alice"), "user", "alice"],
    ["t:news", topicStream("news"), "topic", "news"],
    ["u:t:news", userStream("t:news"), "user", "t:news"],
    ["t:", topicStream(""), "topic", ""],
    ["u: ü\n{}", userStream(" ü\n{}"), "user", " ü\n{}"],
  ] as const)("have the key %j", (key, stream, scope, name) => {
    expect(stream).toEqual({ scope, name, key });
    expect(parseStreamKey(key)).toEqual(stream);
  });

  it.each(["", "x", "bb", "u", "a:b"])("are not named by the key %j", (key) => {
    expect(parseStreamKey(key)).toBeUndefined();
  });

  it("have the letter of their scope in front of their key", () => {
    for (const stream of [broadcastStream, userStream("a"), topicStream("a")]) {
      expect(stream.key[0]).toBe(scopeLetter(stream.scope));
    }
  });
});
