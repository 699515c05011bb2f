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
    const questions = new PendingQuestions(1000);
    const { send, requests } = sender(2);
    const answers = questions.ask(send);
    const [request = ""] = requests;
    questions.answered(request, "one");
    questions.answered(request, null);
    expect(await answers).toEqual(["one", null]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("end at once when nobody was asked", async () => {
    expect(await new PendingQuestions(1000).ask(sender(0).send)).toEqual([]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("end with what is there when the time is over", async () => {
    const questions = new PendingQuestions(1000);
    const { send, requests } = sender(3);
    const answers = questions.ask(send);
    questions.answered(requests[0] ?? "", "one");
    let ended = false;
    void answers.then(() => {
      ended = true;
    });
    await vi.advanceTimersByTimeAsync(999);
    expect(ended).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    expect(await answers).toEqual(["one"]);
  });

  it("take answers that come before it is known how many were asked", async () => {
    const questions = new PendingQuestions(1000);
    const answers = questions.ask(async (request) => {
      questions.answered(request, "quick");
      return 1;
    });
    expect(await answers).toEqual(["quick"]);
  });

  it("are kept apart", async () => {
    const questions = new PendingQuestions(1000);
    const { send, requests } = sender(1);
    const both = Promise.all([questions.ask(send), questions.ask(send)]);
    const [first = "", second = ""] = requests;
    questions.answered(second, "to the second");
    questions.answered(first, "to the first");
    expect(await both).toEqual([["to the first"], ["to the second"]]);
  });

  it("drop answers to what nobody asks, or asks no longer", async () => {
    const questions = new PendingQuestions(1000);
    questions.answered("1", "before");
    const { send, requests } = sender(1);
    const answers = questions.ask(send);
    questions.answered("no such request", "x");
    questions.answered(requests[0] ?? "", "one");
    const given = await answers;
    questions.answered(requests[0] ?? "", "late");
    expect(given).toEqual(["one"]);
  });

  it("fail when they cannot be sent", async () => {
    const failure = new Error("not connected");
    const answers = new PendingQuestions(1000).ask(async () => {
      throw failure;
    });
    await expect(answers).rejects.toBe(failure);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("end when everything closes", async () => {
    const questions = new PendingQuestions(1000);
    const answers = questions.ask(sender(2).send);
    questions.close();
    expect(await answers).toEqual([]);
    expect(vi.getTimerCount()).toBe(0);
  });
});
