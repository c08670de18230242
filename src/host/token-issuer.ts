import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import type { TokenClaims, TokenIssuer } from '../apiserver/token-issuer.ts';
import type { Log } from '../base/log.ts';
import { StatusError, messageOf } from '../base/status-error.ts';
import { readSecretFile, writeSecretFile } from './secret-file.ts';

const algorithm = 'ES256';

/**
 * Signs tokens with the key in `pki/sa.key` of the data directory (mode 0600), made at the first start: ECDSA over P-256,
 * as kubeadm makes it with `encryptionAlgorithm: ECDSA-P256`; an RSA key takes a second to make. `Forbidden` if the file
 * cannot be read or written, `InternalError` if it is damaged; both name it.
 */
export function openTokenIssuer(dataDirectory: string, deps: { readonly log: Log }): TokenIssuer {
  const file = path.join(dataDirectory, 'pki', 'sa.key');
  try {
    fs.mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
    const text = readSecretFile(file);
    if (text !== undefined) return new HostTokenIssuer(parseKey(file, text));
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    writeSecretFile(file, String(privateKey.export({ type: 'pkcs8', format: 'pem' })));
    deps.log.info('tokenKeyMade', { file });
    return new HostTokenIssuer(privateKey);
  } catch (error) {
    if (error instanceof StatusError) throw error;
    throw new StatusError('Forbidden', `cannot use ${file}: ${messageOf(error)}`, { cause: error });
  }
}

function parseKey(file: string, text: string): KeyObject {
  const advice = 'restore it, or remove it to make a new one (tokens that are out there then work no longer)';
  try {
    const key = createPrivateKey(text);
    if (key.asymmetricKeyDetails?.namedCurve === 'prime256v1') return key;
  } catch (error) {
    throw new StatusError('InternalError', `${file} is damaged (${messageOf(error)}): ${advice}`, { cause: error });
  }
  throw new StatusError('InternalError', `${file} holds no key on the curve P-256: ${advice}`);
}

class HostTokenIssuer implements TokenIssuer {
  readonly #privateKey: KeyObject;
  readonly #publicKey: KeyObject;
  readonly #keyId: string;

  constructor(privateKey: KeyObject) {
    this.#privateKey = privateKey;
    this.#publicKey = createPublicKey(privateKey);
    const der = this.#publicKey.export({ type: 'spki', format: 'der' });
    this.#keyId = createHash('sha256').update(der).digest('base64url'); // as upstream's `keyIDFromPublicKey`
  }

  async issue(claims: TokenClaims): Promise<string> {
    const { CompactSign } = await loadJose();
    const payload = new TextEncoder().encode(JSON.stringify(claims));
    return new CompactSign(payload).setProtectedHeader({ alg: algorithm, kid: this.#keyId }).sign(this.#privateKey);
  }

  async verify(token: string): Promise<TokenClaims | undefined> {
    const { compactVerify, errors } = await loadJose();
    try {
      const { payload } = await compactVerify(token, this.#publicKey, { algorithms: [algorithm] });
      // Only `issue` signs with this key.
      return JSON.parse(new TextDecoder().decode(payload)) as TokenClaims;
    } catch (error) {
      if (error instanceof errors.JOSEError) return undefined;
      throw error;
    }
  }

  async publicKeys(): Promise<{ readonly keySet: object; readonly algorithm: string }> {
    const jwk = this.#publicKey.export({ format: 'jwk' });
    return { keySet: { keys: [{ use: 'sig', kid: this.#keyId, alg: algorithm, ...jwk }] }, algorithm };
  }
}

/** Loaded for the first token: a start makes none. */
function loadJose(): Promise<typeof import('jose')> {
  return import('jose');
}
