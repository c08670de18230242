const octet = '(?:25[0-5]|2[0-4]\\d|1?\\d?\\d)';
const ipv4 = new RegExp(`^${octet}(?:\\.${octet}){3}$`);
const leadingZero = /(?:^|\.)0\d/;
const hexGroup = /^[0-9a-fA-F]{1,4}$/;

function isIpv6(text: string): boolean {
  const halves = text.split('::');
  if (halves.length > 2) return false;
  let groupCount = 0;
  for (const [index, half] of halves.entries()) {
    const groups = half === '' ? [] : half.split(':');
    const isLastHalf = index === halves.length - 1;
    for (const [at, group] of groups.entries()) {
      if (isLastHalf && at === groups.length - 1 && ipv4.test(group)) groupCount += 2;
      else if (hexGroup.test(group)) groupCount += 1;
      else return false;
    }
  }
  return halves.length === 2 ? groupCount < 8 : groupCount === 8;
}

export function ipFamilyOf(text: string): 4 | 6 | undefined {
  if (ipv4.test(text) && !leadingZero.test(text)) return 4;
  return text.includes(':') && isIpv6(text) ? 6 : undefined;
}

/** Upstream: `IsValidIP`. */
export function ipProblems(text: string): readonly string[] {
  if (ipFamilyOf(text) !== undefined) return [];
  return ['must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)'];
}
