/**
 * How long a name is kept for who was given it, before any heartbeat: the agent fetches its certificate and starts its
 * kubelet meanwhile.
 */
export const nameClaimMs = 30_000;

interface Claim {
  readonly requestUid: string;
  readonly atWallMs: number;
}

/** The names that were given to new nodes just now, so that of two agents that ask at once only one gets it. */
export class NameClaims {
  readonly #claims = new Map<string, Claim>(); // by name of the node; those that have ended go with the next one

  take(nodeName: string, requestUid: string, atWallMs: number): void {
    for (const [name, claim] of this.#claims) {
      if (atWallMs - claim.atWallMs >= nameClaimMs) this.#claims.delete(name);
    }
    this.#claims.set(nodeName, { requestUid, atWallMs });
  }

  /** Whether another request than this one was given the name. Not when the clock was set back since. */
  isTaken(nodeName: string, requestUid: string, nowWallMs: number): boolean {
    const { requestUid: holder, atWallMs } = this.#claims.get(nodeName) ?? { requestUid, atWallMs: nowWallMs };
    return holder !== requestUid && nowWallMs >= atWallMs && nowWallMs - atWallMs < nameClaimMs;
  }
}
