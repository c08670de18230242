/** How nodes learn by which way the pods of other nodes are reached. */
import { formatIpv4, formatIpv4Range, parseIpv4, parseIpv4Range } from '../base/ipv4-range.ts';
import type { Ipv4Range } from '../base/ipv4-range.ts';
import type { ConfigMap } from './gen/types.ts';

/**
 * On a Node. `host`: its pods share its network, so that their containerPorts can clash. `routed`: they have addresses
 * of its pod CIDR, and other nodes may send to them by its InternalIP.
 */
export const podNetworkAnnotation = 'livelet.dev/pod-network';

/** The config map by which the control plane tells nodes of each other. Its keys are names of nodes. */
export const podNetworksRef = { namespace: 'kube-system', name: 'livelet-pod-networks' } as const;

export interface PodNetworkOfNode {
  readonly nodeName: string;
  readonly podCidr: Ipv4Range;
  /** Its InternalIP. */
  readonly nodeIp: number;
}

/** `n2: 10.244.1.0/24 192.0.2.12` */
export function podNetworksData(networks: readonly PodNetworkOfNode[]): Readonly<Record<string, string>> {
  return Object.fromEntries(
    networks.map(({ nodeName, podCidr, nodeIp }) => [nodeName, `${formatIpv4Range(podCidr)} ${formatIpv4(nodeIp)}`]),
  );
}

/** What makes no sense is left out. */
export function podNetworksOf(map: ConfigMap | undefined): readonly PodNetworkOfNode[] {
  return Object.entries(map?.data ?? {}).flatMap(([nodeName, text]) => {
    const [cidr = '', ip = ''] = text.split(' ');
    const [podCidr, nodeIp] = [parseIpv4Range(cidr), parseIpv4(ip)];
    return podCidr === undefined || nodeIp === undefined ? [] : [{ nodeName, podCidr, nodeIp }];
  });
}
