/** IPv4 addresses and ranges of them (`10.244.0.0/16`), as numbers. */

export interface Ipv4Range {
  /** The first address, as a number below 2^32. */
  readonly first: number;
  /** How many leading bits its addresses share. */
  readonly bits: number;
}

const ipv4 = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/;

/** `undefined`: it is none. */
export function parseIpv4(text: string): number | undefined {
  const bytes = ipv4.exec(text)?.slice(1) ?? [];
  if (bytes.length !== 4 || bytes.some((byte) => Number(byte) > 255 || (byte.length > 1 && byte.startsWith('0')))) {
    return undefined;
  }
  return bytes.reduce((address, byte) => address * 256 + Number(byte), 0);
}

export function formatIpv4(address: number): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join('.');
}

export function rangeSize({ bits }: Pick<Ipv4Range, 'bits'>): number {
  return 2 ** (32 - bits);
}

/** The range that an address in CIDR notation lies in; `undefined`: it is none of IPv4. */
export function parseIpv4Range(text: string): Ipv4Range | undefined {
  const [ip = '', length = '', ...rest] = text.split('/');
  const address = parseIpv4(ip);
  const bits = /^\d{1,2}$/.test(length) ? Number(length) : 33;
  if (address === undefined || bits > 32 || rest.length > 0) return undefined;
  return { first: address - (address % rangeSize({ bits })), bits };
}

export function formatIpv4Range({ first, bits }: Ipv4Range): string {
  return `${formatIpv4(first)}/${bits}`;
}

export function isWithin(address: number, range: Ipv4Range): boolean {
  return address >= range.first && address < range.first + rangeSize(range);
}

/** Whether any address lies in both. */
export function overlaps(a: Ipv4Range, b: Ipv4Range): boolean {
  return isWithin(a.first, b) || isWithin(b.first, a);
}
