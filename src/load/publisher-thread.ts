import { parentPort, workerData } from "node:worker_threads";
import type { FromPublisher, PublisherData, ToPublisher } from "./publisher.ts";
import { Publishing } from "./publishing.ts";

// A thread of its own: what arrives at thousands of connections does not keep the next request waiting.
const { plan, acceptedOf } = workerData as PublisherData;
const publishing = new Publishing(plan, acceptedOf);

function say(message: FromPublisher): void {
  parentPort?.postMessage(message);
}

parentPort?.on("message", (message: ToPublisher) => {
  if (message.kind === "run") void publishing.run(message.phase).then((report) => say({ kind: "report", report }));
  else publishing.stop();
});

await publishing.connect().then(
  () => say({ kind: "connected" }),
  (error: Error) => say({ kind: "failed", message: error.message }),
);
