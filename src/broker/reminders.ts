/** Most reminders that are kept. */
export const maxReminders = 100_000;

/**
 * Texts that are kept until they are due, for all replicas together: whoever takes one works on it, and when nobody says
 * that it is done, because its replica died, it is due again.
 *
 * Every call rejects with the BelfryError `unavailable` when it could not be done.
 */
export interface Reminders {
  /**
   * Keeps a text; one that is kept already stays as it is.
   *
   * @param dueMs when it is due, in ms since the Unix epoch
   * @returns false when {@link maxReminders} are kept: then it is not
   */
  add(text: string, dueMs: number): Promise<boolean>;

  /**
   * Hands out texts that are due, oldest first, each to one caller.
   *
   * @param nowMs the time now, in ms since the Unix epoch
   * @param limit most texts to return, 1 or more
   * @param leaseMs after this time they are due again, unless they were forgotten
   */
  take(nowMs: number, limit: number, leaseMs: number): Promise<string[]>;

  /** Forgets texts, whether they were taken or not; those that are not kept do not matter. */
  forget(texts: readonly string[]): Promise<void>;
}
