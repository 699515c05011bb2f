import { cpu, deliveries, p50, p99 } from "../columns.ts";
import { contestants } from "../contestants.ts";
import { deliveryFigures, measure } from "../measure.ts";
import type { Column, Workload } from "../workload.ts";

const bytes: Column = { key: "bytes", title: "bytes per message", unit: "", better: "lower" };

/**
 * Messages for ws, which answers long before it has compressed: what it takes in four seconds would keep it busy for
 * minutes. These keep it busy for about as long as the others.
 */
const naiveMessages = 60;

/**
 * 1 KB of JSON to everyone with permessage-deflate, without context takeover, so that a compressed message may be the same
 * for all: who compresses it once, and who for each client. A sample of what arrives is inflated and looked into.
 */
export const compressionWorkload: Workload = {
  name: "W6",
  title: "Compressed: 1 KB of JSON to 1,000 connections, 1 publisher",
  about: "permessage-deflate without context takeover; a sample of the messages is inflated and checked.",
  columns: [deliveries, p50, p99, cpu, bytes],
  contestants: [contestants.belfryDeflate, contestants.naiveDeflate, contestants.uwsDeflate],
  run: async (subject, scale, contestant) => {
    const shape = { connections: scale.connections(1000), publishers: 1, size: 1024, compression: true };
    const bound = contestant === contestants.naiveDeflate ? naiveMessages : undefined;
    const measured = await measure(subject, shape, { messages: bound, seconds: scale.seconds(4) }, scale);
    const { samples, compressedSamples, bytes: received, deliveries: messages } = measured.report;
    if (samples === 0 || compressedSamples < samples) {
      throw new Error(`of ${samples} messages only ${compressedSamples} came compressed and whole`);
    }
    const figures = deliveryFigures(measured);
    return { ...figures, values: { ...figures.values, bytes: received / messages } };
  },
};
