import { beforeEach, describe, expect, it, vi } from "vitest";
import { PendingQuestions } from "../../../src/broker/pending-questions.ts";

/** Sends a question to a number of replicas and remembers its request id. */
function sender(replicas: number) {
  const requests: string[] = [];
  const send = async (request: string) => {
    requests.push(request);
    return replicas;
  };
  return { send, requests };
}

describe("PendingQuestions", () => {
  beforeEach(() => {
    vi.useFakeTimers();
    return () => vi.useRealTimers();
  });

  it("end when every replica that was asked has answered", async () => {
    const questions = new PendingQuestions();
    const { send, requests } = sender(2);
    const answers = questions.ask(send);
    const [request = ""] = requests;
    questions.answered(request, "one");
    questions.answered(request, null);
    expect(await answers).toEqual({ answers: ["one", null], replicas: 2 });
    expect(vi.getTimerCount()).toBe(0);
  });

  it("end at once when nobody was asked", async () => {
    expect(await new PendingQuestions().ask(sender(0).send)).toEqual({ answers: [], replicas: 0 });
    expect(vi.getTimerCount()).toBe(0);
  });

  it.each([
    ["a second", undefined, 1000],
    ["the asker's time", 70_000, 70_000],
    ["no time at all", 0, 0],
  ])("end with what is there after %s", async (_, timeoutMs, takesMs) => {
    const questions = new PendingQuestions();
    const { send, requests } = sender(3);
    const answers = questions.ask(send, timeoutMs === undefined ? {} : { timeoutMs });
    questions.answered(requests[0] ?? "", "one");
    let ended = false;
    void answers.then(() => {
      ended = true;
    });
    await vi.advanceTimersByTimeAsync(Math.max(0, takesMs - 1));
    expect(ended).toBe(takesMs === 0);
    await vi.advanceTimersByTimeAsync(1);
    expect(await answers).toEqual({ answers: ["one"], replicas: 3 });
    expect(questions.size).toBe(0);
  });

  it("end with the answer after which no other is wanted, and drop those that come then", async () => {
    const questions = new PendingQuestions();
    const { send, requests } = sender(3);
    const answers = questions.ask(send, { isLast: (answer) => answer === "yes" });
    for (const answer of ["no", "yes", "late"]) questions.answered(requests[0] ?? "", answer);
    expect(await answers).toEqual({ answers: ["no", "yes"], replicas: 3 });
    expect([questions.size, vi.getTimerCount()]).toEqual([0, 0]);
  });

  it("end with the last answer that is wanted also where it comes before it is known how many were asked", async () => {
    const questions = new PendingQuestions();
    const send = async (request: string) => {
      questions.answered(request, "yes");
      return 3;
    };
    expect(await questions.ask(send, { isLast: () => true })).toEqual({ answers: ["yes"], replicas: 3 });
  });

  it("end when the asker gives up, and leave no listener with it", async () => {
    const questions = new PendingQuestions();
    const asker = new AbortController();
    const remove = vi.spyOn(asker.signal, "removeEventListener");
    const answers = questions.ask(sender(3).send, { signal: asker.signal });
    await vi.advanceTimersByTimeAsync(10);
    asker.abort();
    expect(await answers).toEqual({ answers: [], replicas: 3 });
    expect(await questions.ask(sender(3).send, { signal: asker.signal })).toEqual({ answers: [], replicas: 3 });
    expect(remove).toHaveBeenCalledTimes(2);
    expect([questions.size, vi.getTimerCount()]).toEqual([0, 0]);
  });

  it("are refused beyond a number, and taken again when one has ended", async () => {
    const questions = new PendingQuestions(2);
    const { send, requests } = sender(1);
    const open = [questions.ask(send), questions.ask(send)];
    await expect(questions.ask(send)).rejects.toMatchObject({ code: "unavailable", retryAfterSeconds: 1 });
    expect(requests.length).toBe(2);
    for (const request of requests) questions.answered(request, "one");
    await Promise.all(open);
    const next = questions.ask(send);
    questions.answered(requests[2] ?? "", "two");
    expect((await next).answers).toEqual(["two"]);
  });

  it("take answers that come before it is known how many were asked", async () => {
    const questions = new PendingQuestions();
    const answers = questions.ask(async (request) => {
      questions.answered(request, "quick");
      return 1;
    });
    expect((await answers).answers).toEqual(["quick"]);
  });

  it("are kept apart", async () => {
    const questions = new PendingQuestions();
    const { send, requests } = sender(1);
    const both = Promise.all([questions.ask(send), questions.ask(send)]);
    const [first = "", second = ""] = requests;
    questions.answered(second, "to the second");
    questions.answered(first, "to the first");
    expect((await both).map(({ answers }) => answers)).toEqual([["to the first"], ["to the second"]]);
  });

  it("drop answers to what nobody asks, or asks no longer", async () => {
    const questions = new PendingQuestions();
    questions.answered("1", "before");
    const { send, requests } = sender(1);
    const answers = questions.ask(send);
    questions.answered("no such request", "x");
    questions.answered(requests[0] ?? "", "one");
    const { answers: given } = await answers;
    questions.answered(requests[0] ?? "", "late");
    expect(given).toEqual(["one"]);
  });

  it("fail when they cannot be sent", async () => {
    const failure = new Error("not connected");
    const answers = new PendingQuestions().ask(async () => {
      throw failure;
    });
    await expect(answers).rejects.toBe(failure);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("end when everything closes", async () => {
    const questions = new PendingQuestions();
    const answers = questions.ask(sender(2).send);
    questions.close();
    expect((await answers).answers).toEqual([]);
    expect(vi.getTimerCount()).toBe(0);
  });
});
