export { Belfry, type BelfryOptions } from "./app.ts";
export type { ClientMessage, OnMessage } from "./client-frames.ts";
export type { Config } from "./config.ts";
export { BelfryError, type ErrorCode, type InvalidInput } from "./errors.ts";
export type { Client } from "./hub/client.ts";
export type { Hub } from "./hub/hub.ts";
export type { MessageOptions } from "./hub/messages.ts";
export type { Receipt } from "./hub/publisher.ts";
export type { ConnectionInfo, ReplicaStats } from "./hub/questions.ts";
