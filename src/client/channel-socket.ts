export interface ChannelMessage {
  readonly channel: number;
  readonly bytes: Uint8Array;
}

/** A WebSocket of `exec`, `attach` or `portforward`: every message belongs to a numbered channel. */
export interface ChannelSocket {
  /** Ends when the server closes it; fails with a `StatusError` when the connection is lost. May be iterated once. */
  messages(): AsyncGenerator<ChannelMessage, void, undefined>;
  /** Resolves when the connection has taken it. */
  send(channel: number, bytes: Uint8Array): Promise<void>;
  /** Tells the server that this is the end. */
  close(): void;
  /** Cuts it off. */
  destroy(): void;
}
