/**
 * Both directions of a connection, as the pure layers see it. One reader, one writer. A connection that is lost ends
 * `incoming` and every `write` with a `StatusError`.
 */
export interface ByteStream {
  /** What the other side sends, until it says that no more will come. May be iterated once. */
  readonly incoming: AsyncIterable<Uint8Array>;
  /** Resolves when the bytes were taken, so that a slow reader slows the writer down; the bytes are not kept. */
  write(bytes: Uint8Array): Promise<void>;
  /** Nothing more will be written; the other direction goes on. Idempotent. */
  end(): Promise<void>;
  /** Ends both directions at once, whatever is under way. Idempotent. */
  destroy(): void;
}
