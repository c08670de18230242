/** Why the last attempt to start a container failed: shown as its waiting state while it is to be started again. */
export interface StartFailure {
  /** `CrashLoopBackOff`, `ErrImagePull`, ... (section 4.3 of the behaviour sheet). */
  readonly reason: string;
  readonly message: string;
}

/** The failures of all pods of this node; a success clears its container's. Upstream: `reasonCache`. */
export class StartFailures {
  readonly #byPod = new Map<string, Map<string, StartFailure>>(); // pod uid -> container name; bounded by the pods

  of(podUid: string, containerName: string): StartFailure | undefined {
    return this.#byPod.get(podUid)?.get(containerName);
  }

  set(podUid: string, containerName: string, failure: StartFailure): void {
    const failures = this.#byPod.get(podUid) ?? new Map<string, StartFailure>();
    failures.set(containerName, failure);
    this.#byPod.set(podUid, failures);
  }

  clear(podUid: string, containerName: string): void {
    this.#byPod.get(podUid)?.delete(containerName);
  }

  forgetPod(podUid: string): void {
    this.#byPod.delete(podUid);
  }
}
