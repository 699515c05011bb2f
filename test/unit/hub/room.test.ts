import { expect, it } from "vitest";
import { Room } from "../../../src/hub/room.ts";

it("lets in what comes until so much is on its way, however large the last is", () => {
  const room = new Room(100);
  expect([room.tryTake(99), room.tryTake(500), room.tryTake(0)]).toEqual([true, true, false]);
  room.give(500);
  expect(room.tryTake(1)).toBe(true);
  room.take(1000);
  expect(room.tryTake(1)).toBe(false);
});

it("lets those who wait in one after the other, as room is given back, and nobody past them", async () => {
  const room = new Room(100);
  room.take(100);
  const order: number[] = [];
  const waits = [60, 60, 10].map(async (bytes, n) => {
    expect(await room.wait(bytes, 1000)).toBe(true);
    order.push(n);
  });
  room.give(100);
  await waits[1];
  expect(order).toEqual([0, 1]);
  expect(room.tryTake(1)).toBe(false);
  room.give(60);
  await waits[2];
  expect(order).toEqual([0, 1, 2]);
});

it("says when it was too late, and takes nothing then", async () => {
  const room = new Room(100);
  room.take(100);
  const [late, patient] = [room.wait(100, 10), room.wait(1, 5000)];
  expect(await late).toBe(false);
  room.give(50);
  expect(await patient).toBe(true);
  expect(room.tryTake(49)).toBe(true);
});
