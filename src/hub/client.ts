import type { Connection } from "./connection.ts";

/** A client as the service's own code sees it. */
export interface Client {
  /** Id of the connection. */
  readonly connection: string;
  /** null: anonymous. */
  readonly user: string | null;
  readonly transport: Connection["transport"];
  /** The client's address, as far as proxies are trusted. */
  readonly remote: string;
  /** Closes the connection with 4403. */
  disconnect(reason?: string): void;
}
