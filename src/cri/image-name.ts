/** Image names in the form that containerd gives them: `docker.io/library/busybox:1.29`. */

export interface ImageName {
  /** `docker.io/library/busybox` */
  readonly repository: string;
  /** `1.29`; empty when only a digest was given. */
  readonly tag: string;
  /** `sha256:...` or empty. */
  readonly digest: string;
}

const nameBytesMax = 255; // of the repository; as in the OCI distribution specification
const pathComponent = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const domainPattern =
  /^(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*(?::[0-9]+)?$/;
const tagPattern = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;
const digestPattern = /^[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[0-9a-f]{32,}$/;

/** `undefined`: not a valid reference. A missing registry is `docker.io`, a missing tag `latest`. */
export function parseImageName(text: string): ImageName | undefined {
  const at = text.indexOf('@');
  const digest = at < 0 ? '' : text.slice(at + 1);
  const named = at < 0 ? text : text.slice(0, at);
  const colon = named.lastIndexOf(':');
  const hasTag = colon > named.lastIndexOf('/');
  const path = hasTag ? named.slice(0, colon) : named;
  const tag = hasTag ? named.slice(colon + 1) : digest === '' ? 'latest' : '';
  const repository = qualify(path);
  if (repository === undefined) return undefined;
  if (tag !== '' && !tagPattern.test(tag)) return undefined;
  if (hasTag && tag === '') return undefined;
  if (at >= 0 && !digestPattern.test(digest)) return undefined;
  return { repository, tag, digest };
}

/** The whole name with its registry, tag and digest. */
export function imageNameText(name: ImageName): string {
  return name.repository + (name.tag === '' ? '' : `:${name.tag}`) + (name.digest === '' ? '' : `@${name.digest}`);
}

function qualify(path: string): string | undefined {
  const slash = path.indexOf('/');
  const first = slash < 0 ? '' : path.slice(0, slash);
  const hasDomain = first === 'localhost' || first.includes('.') || first.includes(':') || /[A-Z]/.test(first);
  const domain = !hasDomain || first === 'index.docker.io' ? 'docker.io' : first;
  const rest = hasDomain ? path.slice(slash + 1) : path;
  const full = domain === 'docker.io' && !rest.includes('/') ? `library/${rest}` : rest;
  if (domain.length + full.length + 1 > nameBytesMax || !domainPattern.test(domain)) return undefined;
  if (!full.split('/').every((component) => pathComponent.test(component))) return undefined;
  return `${domain}/${full}`;
}
