// The grammar of image references: [domain/]path[:tag][@digest].
const domain = String.raw`(?:(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])(?:\.(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]))*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?`;
const component = String.raw`[a-z0-9]+(?:(?:[._]|__|[-]+)[a-z0-9]+)*`;
const reference = new RegExp(
  `^(?:${domain}/)?${component}(?:/${component})*(?::[\\w][\\w.-]{0,127})?(?:@[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,})?$`,
);
const nameLengthMax = 255;

/** Why `image` is no image reference; `undefined` if it is one. The text is what upstream's parser says. */
export function imageNameFault(image: string): string | undefined {
  const parse = `couldn't parse image name "${image}": `;
  if (image.length > 4 * nameLengthMax) return `${parse}invalid reference format`; // keeps the match below short
  if (reference.test(image)) {
    const name = image.replace(/@.*$/, '').replace(/:[\w.-]*$/, '');
    return name.length > nameLengthMax ? `${parse}repository name must not be more than 255 characters` : undefined;
  }
  const hasUpperCase = reference.test(image.toLowerCase());
  return `${parse}invalid reference format${hasUpperCase ? ': repository name must be lowercase' : ''}`;
}
