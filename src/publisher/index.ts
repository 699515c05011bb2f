export { BelfryPublishError } from "./errors.ts";
export {
  type BatchMessage,
  type BatchResult,
  BelfryPublisher,
  type PublisherOptions,
  type PublishOptions,
  type Receipt,
  type Recipient,
  type Reply,
} from "./publisher.ts";
