import { once } from "node:events";
import { connect } from "node:net";
import { expect, test } from "vitest";
import { startService } from "../support/service.ts";

/** Sends a request the moment the system has connected, and resolves with all that comes back. */
async function requestRightAway(port: number): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  socket.write("GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  let answer = "";
  socket.setEncoding("utf8").on("data", (text: string) => {
    answer += text;
  });
  await once(socket, "close");
  return answer;
}

test("whoever had connected when the service closed is answered", async () => {
  const { belfry, port } = await startService();

  const answers = Array.from({ length: 50 }, () => requestRightAway(port));
  await new Promise(process.nextTick);
  await belfry.close(5000);

  for (const answer of await Promise.all(answers)) expect(answer).toMatch(/^HTTP\/1.1 200 /);
});
