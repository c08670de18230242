import fs from 'node:fs';
import { StatusError } from '../../base/status-error.ts';
import type { ContainerSecurityContext } from '../runtime.ts';
import type { ProcessUser } from './launcher.ts';

/** What a container may do when nothing else is said: the list that Docker and containerd use. */
const defaultCapabilities: readonly string[] = [
  'chown',
  'dac_override',
  'fsetid',
  'fowner',
  'mknod',
  'net_raw',
  'setgid',
  'setuid',
  'setfcap',
  'setpcap',
  'net_bind_service',
  'sys_chroot',
  'kill',
  'audit_write',
];

interface Account {
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
}

/** This machine's accounts: its programs are the container's. */
function accountsOf(): Map<string, Account> {
  const accounts = new Map<string, Account>(); // by name and by number
  for (const line of readLines('/etc/passwd')) {
    const [name = '', , uid = '', gid = '', , home = '/'] = line.split(':');
    const account = { uid: Number(uid), gid: Number(gid), home };
    accounts.set(name, account);
    if (!accounts.has(uid)) accounts.set(uid, account);
  }
  return accounts;
}

function groupNumber(name: string): number | undefined {
  if (/^\d+$/.test(name)) return Number(name);
  const line = readLines('/etc/group').find((text) => text.startsWith(`${name}:`));
  return line === undefined ? undefined : Number(line.split(':')[2]);
}

function readLines(file: string): string[] {
  try {
    return fs.readFileSync(file, 'utf8').split('\n');
  } catch {
    return []; // no such file on this machine
  }
}

/** Who a container runs as. `imageUser` is the image's USER: `NAME`, `UID`, `NAME:GROUP` ... */
export function userOf(
  security: ContainerSecurityContext,
  imageUser: string,
): { readonly user: ProcessUser | undefined; readonly home: string } {
  const [imageName = '', imageGroup = ''] = imageUser.split(':');
  const wanted = security.runAsUser === undefined ? imageName : String(security.runAsUser);
  const accounts = accountsOf();
  const account = accounts.get(wanted === '' ? '0' : wanted);
  if (account === undefined && !/^\d*$/.test(wanted)) {
    throw new StatusError('BadRequest', `unable to find user ${wanted}: no matching entries in passwd file`);
  }
  const home = account?.home ?? '/';
  const uid = account?.uid ?? Number(wanted);
  const groupOfImage = imageGroup === '' || security.runAsUser !== undefined ? undefined : groupNumber(imageGroup);
  const gid = security.runAsGroup ?? groupOfImage ?? account?.gid ?? 0;
  const groups = security.supplementalGroups;
  if (uid === 0 && gid === 0 && groups.length === 0) return { user: undefined, home };
  return { user: { uid, gid, groups: [...new Set([gid, ...groups])] }, home };
}

/** Of a container's processes when livelet is root. Names as Kubernetes writes them: `NET_ADMIN`, `ALL`. */
export function capabilitiesOf(security: ContainerSecurityContext): readonly string[] {
  const names = (list: readonly string[]): string[] => list.map((name) => name.toLowerCase().replace(/^cap_/, ''));
  const add = names(security.addCapabilities);
  const drop = names(security.dropCapabilities);
  if (add.includes('all')) {
    throw new StatusError('BadRequest', 'securityContext.capabilities.add: ALL: not supported by the process runtime');
  }
  const kept = drop.includes('all') ? [] : defaultCapabilities.filter((name) => !drop.includes(name));
  return [...new Set([...kept, ...add])];
}
