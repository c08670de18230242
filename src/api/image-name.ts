/** The parts of an image name that decide how it is pulled. Upstream: `parsers.ParseImageName`. */
export interface ImageName {
  readonly repository: string;
  /** `latest` if the name has neither tag nor digest; `''` if it has only a digest, or cannot be parsed. */
  readonly tag: string;
  /** `sha256:...`, or `''`. */
  readonly digest: string;
}

const domain = String.raw`(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?`;
const pathPart = '[a-z0-9]+(?:(?:[._]|__|[-]+)[a-z0-9]+)*';
const reference = new RegExp(
  `^((?:${domain}/)?${pathPart}(?:/${pathPart})*)(?::([\\w][\\w.-]{0,127}))?(?:@([A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}))?$`,
);

export function parseImageName(image: string): ImageName {
  const match = reference.exec(image);
  if (match === null) return { repository: image, tag: '', digest: '' };
  const [, repository = '', tag, digest = ''] = match;
  return { repository, tag: tag ?? (digest === '' ? 'latest' : ''), digest };
}

/** `Always` for `latest` or no tag at all, else `IfNotPresent`. */
export function defaultPullPolicy(image: string): string {
  return parseImageName(image).tag === 'latest' ? 'Always' : 'IfNotPresent';
}
