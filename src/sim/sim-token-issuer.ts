import type { TokenClaims, TokenIssuer } from '../apiserver/token-issuer.ts';

/**
 * Signs with a checksum: whoever has this code can forge its tokens, but they are a function of seed and claims, and it
 * takes no time. For virtual time and tests.
 */
export class SimTokenIssuer implements TokenIssuer {
  readonly #seed: string;

  constructor(seed: string) {
    this.#seed = seed;
  }

  async issue(claims: TokenClaims): Promise<string> {
    const payload = base64Url(JSON.stringify(claims));
    return `${header}.${payload}.${this.#signature(payload)}`;
  }

  async verify(token: string): Promise<TokenClaims | undefined> {
    const [head, payload = '', signature] = token.split('.');
    if (head !== header || signature !== this.#signature(payload)) return undefined;
    // Only `issue` makes such a signature.
    return JSON.parse(textOf(payload)) as TokenClaims;
  }

  async publicKeys(): Promise<{ readonly keySet: object; readonly algorithm: string }> {
    return { keySet: { keys: [] }, algorithm: 'sim' };
  }

  /** FNV-1a of seed and payload. */
  #signature(payload: string): string {
    let hash = 0x811c9dc5;
    const text = `${this.#seed}.${payload}`;
    for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193) >>> 0;
    return hash.toString(16).padStart(8, '0');
  }
}

const header = base64Url(JSON.stringify({ alg: 'sim' }));

function base64Url(text: string): string {
  let chars = '';
  for (const byte of new TextEncoder().encode(text)) chars += String.fromCharCode(byte);
  return btoa(chars).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
}

function textOf(base64UrlText: string): string {
  const chars = atob(base64UrlText.replaceAll('-', '+').replaceAll('_', '/'));
  return new TextDecoder().decode(Uint8Array.from(chars, (char) => char.charCodeAt(0)));
}
