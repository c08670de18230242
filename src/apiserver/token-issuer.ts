/**
 * What signs the tokens of service accounts, and knows them again. The API server decides what a token says and whom it
 * lets in; this holds the key. Implementations: `host/token-issuer.ts`, and `sim/sim-token-issuer.ts` for virtual time.
 */
export interface TokenIssuer {
  /** A JSON Web Token (RFC 7519, compact) with exactly these claims. */
  issue(claims: TokenClaims): Promise<string>;
  /**
   * The claims of a token that this key has signed, whatever they say about its time; `undefined` for every other text.
   */
  verify(token: string): Promise<TokenClaims | undefined>;
  /** The public key, as a JSON Web Key Set (RFC 7517), and the algorithm of the signatures. */
  publicKeys(): Promise<{ readonly keySet: object; readonly algorithm: string }>;
}

export interface ObjectClaim {
  readonly name: string;
  /** Absent: the object was not there when the token was made. */
  readonly uid?: string;
}

/** Upstream: the public and private claims of `pkg/serviceaccount`. Times are seconds since 1970. */
export interface TokenClaims {
  readonly aud: readonly string[];
  readonly exp: number;
  readonly iat: number;
  readonly iss: string;
  readonly jti: string;
  readonly 'kubernetes.io': {
    readonly namespace: string;
    readonly node?: ObjectClaim;
    readonly pod?: ObjectClaim;
    readonly secret?: ObjectClaim;
    readonly serviceaccount: ObjectClaim;
    /** From then on it is to be replaced, though it goes on to work. */
    readonly warnafter?: number;
  };
  readonly nbf: number;
  /** `system:serviceaccount:NAMESPACE:NAME` */
  readonly sub: string;
}

/** Who issues all tokens, and whom they are for unless somebody else is named. Upstream: kubeadm's default. */
export const tokenIssuerName = 'https://kubernetes.default.svc.cluster.local';
