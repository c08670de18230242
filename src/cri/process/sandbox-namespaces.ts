import { StatusError, messageOf } from '../../base/status-error.ts';
import type { PodAddress, PodNetwork } from './pod-network.ts';
import { findTool } from './shell-tools.ts';

const triesMax = 5; // another livelet may take the same address at the same time
const preparedCount = 2; // namespaces with an address take some 5 ms to make: the next pods find theirs ready

export interface SandboxNamespacesDeps {
  /** `undefined`: pods share the machine's network. */
  readonly network: PodNetwork | undefined;
  /** Sends a command and resolves to the status in the message that starts with `reply`. */
  readonly call: (reply: string, line: string) => Promise<string>;
  readonly send: (line: string) => void;
  readonly errorText: () => string;
}

export interface SharedNamespaces {
  /** The pod asked for the machine's network (and so its host name). */
  readonly hostNetwork: boolean;
  readonly hostIpc: boolean;
}

interface OpenSandbox extends SharedNamespaces {
  readonly namespaces: Namespaces;
}

interface Namespaces {
  readonly name: string;
  /** `undefined`: the machine's network. */
  readonly address: PodAddress | undefined;
}

/**
 * The UTS, IPC and network namespaces of pods, held by files in the launcher's private mount namespace: they go when
 * the launcher goes, and the pods' interfaces and routes with them.
 */
export class SandboxNamespaces {
  readonly #deps: SandboxNamespacesDeps;
  readonly #open = new Map<string, OpenSandbox>(); // by sandbox id
  readonly #prepared: Promise<Namespaces>[] = []; // made ahead of need, at most preparedCount; never reject unhandled
  #network: PodNetwork | undefined;
  #nameCount = 0;

  constructor(deps: SandboxNamespacesDeps) {
    this.#deps = deps;
    this.#network = deps.network;
  }

  get hasNetwork(): boolean {
    return this.#network !== undefined;
  }

  /** Finds out whether pods can have their own network. Resolves to why not; empty if they can. */
  async tryNetwork(): Promise<string> {
    if (this.#network === undefined) return '';
    if (findTool('ip') === '') return this.#giveUpNetwork('ip (iproute2) is not installed');
    try {
      this.#prepared.push(Promise.resolve(await this.#make(false)));
      return '';
    } catch (error) {
      return this.#giveUpNetwork(messageOf(error));
    }
  }

  /** Why pods can have no address now; `undefined`: they can, or have none of their own anyway. */
  networkProblem(): string | undefined {
    return this.#network?.problem();
  }

  /** The range of addresses from now on. */
  usePodCidr(podCidr: string): void {
    if (this.#network?.use(podCidr) !== true) return;
    for (const prepared of this.#prepared.splice(0)) {
      prepared.then(
        (namespaces) => this.#remove(namespaces),
        () => {}, // there is nothing to be removed
      );
    }
    this.#prepareMore();
  }

  /** Resolves to the pod's addresses. */
  async open(sandboxId: string, shared: SharedNamespaces): Promise<readonly string[]> {
    const problem = shared.hostNetwork ? undefined : this.networkProblem();
    if (problem !== undefined) throw new StatusError('ServiceUnavailable', setupError(problem));
    const canTakePrepared = this.#network !== undefined && !shared.hostNetwork;
    const prepared = canTakePrepared ? this.#prepared.shift() : undefined;
    const namespaces = await (prepared ?? this.#make(shared.hostNetwork));
    this.#open.set(sandboxId, { ...shared, namespaces });
    this.#prepareMore();
    return namespaces.address === undefined ? [] : [namespaces.address.ip];
  }

  close(sandboxId: string): void {
    const sandbox = this.#open.get(sandboxId);
    if (sandbox === undefined) return;
    this.#open.delete(sandboxId);
    this.#remove(sandbox.namespaces);
  }

  /** The command that enters a pod's namespaces; empty: it has none of its own. */
  enterWords(sandboxId: string): string {
    const name = this.#open.get(sandboxId)?.namespaces.name ?? '';
    const flags = this.enterFlags(sandboxId).map((flag) => `${flag}=ns/${name}.${flag.slice(2)}`);
    return flags.length === 0 ? '' : `nsenter ${flags.join(' ')}`;
  }

  /** Of the pod's network namespace, in the launcher's directory; `undefined`: it has the machine's network. */
  networkFile(sandboxId: string): string | undefined {
    const namespaces = this.#open.get(sandboxId)?.namespaces;
    return namespaces?.address === undefined ? undefined : `ns/${namespaces.name}.net`;
  }

  /** Which of a container's namespaces are its pod's: `--net`, `--ipc`, `--uts`. */
  enterFlags(sandboxId: string): readonly string[] {
    const sandbox = this.#open.get(sandboxId);
    if (sandbox === undefined) return [];
    return [
      ...(sandbox.hostNetwork ? [] : ['--uts']),
      ...(sandbox.hostIpc ? [] : ['--ipc']),
      ...(sandbox.namespaces.address === undefined ? [] : ['--net']),
    ];
  }

  async release(): Promise<void> {
    await this.#network?.close();
    this.#network = undefined;
  }

  #giveUpNetwork(reason: string): string {
    this.#network = undefined;
    return `pods share the machine's network: ${reason}`;
  }

  #prepareMore(): void {
    if (this.#network === undefined || this.#prepared.length >= preparedCount) return;
    const made = this.#make(false);
    made.catch(() => {}); // whoever takes it gets the error
    this.#prepared.push(made);
  }

  async #make(hostNetwork: boolean, tries = 1): Promise<Namespaces> {
    const address = hostNetwork ? undefined : this.#network?.take();
    const name = `n${this.#nameCount++}`;
    const words = address === undefined ? '' : ` ${address.ip} ${address.gateway} ${address.hostInterface}`;
    const status = await this.#deps.call(`net ${name}`, `c_net ${name}${words}`);
    const namespaces = { name, address };
    if (status === '0') return namespaces;
    const text = this.#deps.errorText();
    if (status !== 'ended') this.#remove(namespaces);
    if (tries < triesMax && address !== undefined && this.#network?.isTakenByAnother(address) === true) {
      return await this.#make(hostNetwork, tries + 1);
    }
    throw new StatusError('InternalError', setupError(text));
  }

  #remove({ name, address }: Namespaces): void {
    this.#deps.send(`c_unnet ${name} ${address?.hostInterface ?? ''}`);
    if (address !== undefined) this.#network?.giveBack(address);
  }
}

function setupError(text: string): string {
  return `failed to setup network for sandbox: ${text}`;
}
