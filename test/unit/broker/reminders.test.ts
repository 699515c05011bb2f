import { expect, it } from "vitest";
import { MemoryReminders } from "../../../src/broker/memory-reminders.ts";
import { maxReminders } from "../../../src/broker/reminders.ts";

it("keeps so many reminders and no more, until some are forgotten", async () => {
  const reminders = new MemoryReminders();
  for (let n = 0; n < maxReminders; n++) await reminders.add(`text ${n}`, 0);
  expect(await reminders.add("one more", 0)).toBe(false);
  expect(await reminders.add("text 7", 0)).toBe(true);
  await reminders.forget(["text 0"]);
  expect(await reminders.add("one more", 0)).toBe(true);
});
