/** Computers of one network, as network namespaces of this one: a bridge, and a namespace with an address for each. */
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';

/** Of the interfaces and namespaces that a run makes: by its process, so that two runs do not meet. */
const mark = `lv${(process.pid % 46_656).toString(36)}`;
// Below 10.244.0.0/16, of which pods have their addresses.
const subnet = `10.${200 + (process.pid % 44)}.${Math.floor(process.pid / 50) % 256}`;

function ip(...words: string[]): void {
  execFileSync('ip', words, { stdio: ['ignore', 'ignore', 'pipe'] });
}

export interface TestComputer {
  readonly address: string;
  /** Words that, before a command, run it there. */
  readonly enter: readonly string[];
  /** Takes its cable out, or puts it back. */
  setLink(state: 'up' | 'down'): void;
}

export class NodeNetworks {
  /** Of this computer, on the same network. */
  readonly address = `${subnet}.1`;
  readonly #bridge = `${mark}b`;
  readonly #namespaces: string[] = [];

  constructor() {
    ip('link', 'add', this.#bridge, 'type', 'bridge');
    ip('address', 'add', `${this.address}/24`, 'dev', this.#bridge);
    ip('link', 'set', this.#bridge, 'up');
  }

  add(): TestComputer {
    const number = this.#namespaces.length + 11;
    const namespace = `${mark}n${number}`;
    const [outer, inner] = [`${mark}o${number}`, 'eth0'];
    ip('netns', 'add', namespace);
    this.#namespaces.push(namespace);
    ip('link', 'add', outer, 'type', 'veth', 'peer', 'name', inner, 'netns', namespace);
    ip('link', 'set', outer, 'master', this.#bridge, 'up');
    const address = `${subnet}.${number}`;
    ip('-n', namespace, 'link', 'set', 'lo', 'up');
    ip('-n', namespace, 'address', 'add', `${address}/24`, 'dev', inner);
    ip('-n', namespace, 'link', 'set', inner, 'up');
    ip('-n', namespace, 'route', 'add', 'default', 'via', this.address);
    // As most computers are by themselves: they pass nothing on.
    ip('netns', 'exec', namespace, 'sh', '-c', 'echo 0 > /proc/sys/net/ipv4/ip_forward');
    return {
      address,
      enter: ['ip', 'netns', 'exec', namespace],
      setLink: (state) => ip('link', 'set', outer, state),
    };
  }

  /** Ends what still runs in the namespaces, and removes them and the bridge. */
  remove(): void {
    for (const namespace of this.#namespaces) {
      const pids = execFileSync('ip', ['netns', 'pids', namespace], { encoding: 'utf8' }).split('\n');
      for (const pid of pids.filter((text) => text !== '')) {
        try {
          process.kill(Number(pid), 'SIGKILL');
        } catch {
          // it has just ended
        }
      }
      ip('netns', 'delete', namespace);
    }
    ip('link', 'delete', this.#bridge);
  }
}

/** Why it cannot be done here; false: it can. */
export function skipWithoutNetworks(): string | false {
  if (process.platform !== 'linux') return 'network namespaces are Linux';
  if (process.getuid?.() !== 0) return 'network namespaces need root';
  return fs.existsSync('/sbin/ip') || fs.existsSync('/usr/sbin/ip') ? false : 'iproute2 is not installed';
}
