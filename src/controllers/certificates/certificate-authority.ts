/** What a certificate signing request (PKCS #10) asks for. */
export interface SigningRequestFacts {
  readonly commonName: string;
  readonly organizations: readonly string[];
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
  readonly emailAddresses: readonly string[];
  readonly uris: readonly string[];
}

export interface SigningOptions {
  /** Of the request's spec: `digital signature`, `client auth`, ... */
  readonly usages: readonly string[];
  readonly notBeforeWallMs: number;
  /** Cut to the authority's own end. */
  readonly notAfterWallMs: number;
}

/** Reads signing requests, and signs them with the cluster's authority. */
export interface CertificateAuthority {
  /** `request`: PEM. `BadRequest`: it is none, or is not signed by its own key. */
  read(request: string): Promise<SigningRequestFacts>;
  /** The certificate (PEM) for exactly the subject, names and key of the request. Checks nothing. */
  sign(request: string, options: SigningOptions): Promise<string>;
}
