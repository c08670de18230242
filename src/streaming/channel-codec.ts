/** `channel.k8s.io`: each WebSocket message begins with the number of the channel that it belongs to. */

export interface ChannelCodec {
  encode(channel: number, bytes: Uint8Array): Uint8Array | string;
  /** `undefined`: an empty message, which means nothing. */
  decode(message: Uint8Array): { readonly channel: number; readonly bytes: Uint8Array } | undefined;
}

const binary: ChannelCodec = {
  encode: (channel, bytes) => Buffer.concat([Buffer.from([channel]), bytes]),
  decode(message) {
    const [channel] = message;
    return channel === undefined ? undefined : { channel, bytes: message.subarray(1) };
  },
};

const zero = 0x30; // the character

const base64: ChannelCodec = {
  encode: (channel, bytes) => String.fromCharCode(zero + channel) + Buffer.from(bytes).toString('base64'),
  decode(message) {
    const [first] = message;
    if (first === undefined) return undefined;
    return { channel: first - zero, bytes: Buffer.from(Buffer.from(message.subarray(1)).toString('latin1'), 'base64') };
  },
};

/** By the subprotocol; `''`: none was asked for. */
export function channelCodec(protocol: string): ChannelCodec {
  return protocol.includes('base64.') ? base64 : binary;
}
