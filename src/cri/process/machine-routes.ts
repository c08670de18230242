import fs from 'node:fs';
import type { Ipv4Range } from '../../base/ipv4-range.ts';

/** The machine's ends of pods' interfaces begin with it, whichever livelet made them. */
export const podInterfacePrefix = 'lv';

export interface MachineRoute {
  readonly range: Ipv4Range;
  readonly device: string;
  /** What it leads to is on the interface's own network: no gateway in between, and not a refusal. */
  readonly isDirect: boolean;
}

const gatewayFlag = 0x2;
const rejectFlag = 0x200;

/** The IPv4 routes of the network namespace that this process is in. */
export function readRoutes(): readonly MachineRoute[] {
  return parseRoutes(fs.readFileSync('/proc/self/net/route', 'latin1'));
}

/** What `/proc/net/route` says. */
export function parseRoutes(table: string): readonly MachineRoute[] {
  return table
    .split('\n')
    .slice(1)
    .map((line) => line.split('\t'))
    .filter((fields) => fields.length > 7)
    .map(([device = '', destination = '', , flags = '', , , , mask = '']) => ({
      range: { first: addressOf(destination), bits: addressOf(mask).toString(2).replaceAll('0', '').length },
      device,
      isDirect: (Number.parseInt(flags, 16) & (gatewayFlag | rejectFlag)) === 0,
    }));
}

/** The kernel prints network byte order as the machine's own: little endian wherever Node.js runs on Linux. */
function addressOf(hex: string): number {
  return Buffer.from(hex, 'hex').readUInt32LE();
}
