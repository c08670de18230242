import type { Pod } from '../api/gen/types.ts';
import type { DnsConfig } from '../cri/runtime.ts';
import type { NodeContext } from './node-context.ts';
import { podReference } from './pod-names.ts';

const nodeResolvPath = '/etc/resolv.conf';
const nodeResolvBytesMax = 64 * 1_024;
const serversMax = 3; // of the C library
const searchesMax = 32; // upstream: MaxDNSSearchPaths
const searchBytesMax = 2_048;

/**
 * What a pod's names are looked up with; `undefined`: what the runtime gives, which is what the machine has. There is
 * no cluster DNS, so that `ClusterFirst` is `Default`. Upstream: `Configurer.GetPodDNS`.
 */
export async function podDnsConfig(
  { files, recorder }: Pick<NodeContext, 'files' | 'recorder'>,
  pod: Pod,
): Promise<DnsConfig | undefined> {
  const { dnsConfig, dnsPolicy } = pod.spec ?? {};
  if (dnsConfig === undefined && dnsPolicy !== 'None') return undefined;
  const base =
    dnsPolicy === 'None' ? noNames : parseResolvConf(await files.readTail(nodeResolvPath, nodeResolvBytesMax));
  const own: DnsConfig = {
    servers: dnsConfig?.nameservers ?? [],
    searches: dnsConfig?.searches ?? [],
    options: (dnsConfig?.options ?? []).map(({ name = '', value }) =>
      value === undefined ? name : `${name}:${value}`,
    ),
  };
  const merged: DnsConfig = {
    servers: unique([...base.servers, ...own.servers]),
    searches: unique([...base.searches, ...own.searches]),
    options: mergeOptions(base.options, own.options),
  };
  const servers = merged.servers.slice(0, serversMax);
  const searches = withinLimits(merged.searches);
  const warn = (what: string): void => recorder.event(podReference(pod), 'Warning', 'DNSConfigForming', what);
  if (servers.length < merged.servers.length) {
    const applied = `the applied nameserver line is: ${servers.join(' ')}`;
    warn(`Nameserver limits were exceeded, some nameservers have been omitted, ${applied}`);
  }
  if (searches.length < merged.searches.length) {
    const applied = `the applied search line is: ${searches.join(' ')}`;
    warn(`Search Line limits were exceeded, some search paths have been omitted, ${applied}`);
  }
  return { servers, searches, options: merged.options };
}

const noNames: DnsConfig = { servers: [], searches: [], options: [] };

function parseResolvConf(bytes: Uint8Array): DnsConfig {
  const servers: string[] = [];
  let searches: readonly string[] = []; // the last line counts, as for the options
  let options: readonly string[] = [];
  for (const line of new TextDecoder().decode(bytes).split('\n')) {
    const [key, ...words] = line.trim().split(/\s+/);
    if (key === 'nameserver' && words[0] !== undefined) servers.push(words[0]);
    else if (key === 'search') searches = words.filter((word) => word !== '.').map((word) => word.replace(/\.$/, ''));
    else if (key === 'options') options = words;
  }
  return { servers, searches, options };
}

/** One of the same name replaces the machine's. */
function mergeOptions(base: readonly string[], own: readonly string[]): readonly string[] {
  const byName = new Map<string, string>();
  for (const option of [...base, ...own]) byName.set(option.split(':')[0] ?? '', option);
  return [...byName.values()];
}

function withinLimits(searches: readonly string[]): readonly string[] {
  const kept: string[] = [];
  for (const search of searches.slice(0, searchesMax)) {
    if ([...kept, search].join(' ').length > searchBytesMax) break;
    kept.push(search);
  }
  return kept;
}

function unique(words: readonly string[]): readonly string[] {
  return [...new Set(words)];
}
