/**
 * The formats of names, labels and keys. Each check gives the texts of what is wrong, upstream's own; none when the
 * value is fine. Upstream: `apimachinery/pkg/util/validation`.
 */
type Problems = readonly string[];

const fine: Problems = [];

const label1123 = '[a-z0-9]([-a-z0-9]*[a-z0-9])?';
const subdomain1123 = `${label1123}(\\.${label1123})*`;
const qualifiedName = '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]';
const labelValue = `(${qualifiedName})?`;
const httpHeaderName = '[-A-Za-z0-9]+';
const configMapKey = '[-._a-zA-Z0-9]+';
const httpPath = String.raw`[A-Za-z0-9/\-._~%!$&'()*+,;=:]+`;

const labelMax = 63;
const subdomainMax = 253;
const portNameMax = 15;

const whole = (pattern: string): RegExp => new RegExp(`^${pattern}$`);
const patterns = {
  label1123: whole(label1123),
  subdomain1123: whole(subdomain1123),
  qualifiedName: whole(qualifiedName),
  labelValue: whole(labelValue),
  httpHeaderName: whole(httpHeaderName),
  configMapKey: whole(configMapKey),
  httpPath: whole(httpPath),
} as const;

const utf8 = new TextEncoder();

/** Length in bytes, as Go counts. */
export function byteLength(text: string): number {
  for (let at = 0; at < text.length; at++) if (text.charCodeAt(at) > 0x7f) return utf8.encode(text).length;
  return text.length;
}

export function maxLengthText(length: number): string {
  return `must be no more than ${length} characters`;
}

export function rangeText(min: number, max: number): string {
  return `must be between ${min} and ${max}, inclusive`;
}

/** Two spaces before `or`, as upstream has it. */
function formatText(problem: string, pattern: string, ...examples: readonly string[]): string {
  const regex = `regex used for validation is '${pattern}'`;
  if (examples.length === 0) return `${problem} (${regex})`;
  return `${problem} (e.g. ${examples.map((example) => `'${example}'`).join(',  or ')}, ${regex})`;
}

/** RFC 1123 label: container names, namespaces. */
export function dns1123LabelProblems(value: string): Problems {
  if (value.length <= labelMax && patterns.label1123.test(value)) return fine;
  const problems: string[] = [];
  if (byteLength(value) > labelMax) problems.push(maxLengthText(labelMax));
  if (!patterns.label1123.test(value)) {
    const text =
      "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character";
    if (patterns.subdomain1123.test(value)) problems.push('must not contain dots');
    else problems.push(formatText(text, label1123, 'my-name', '123-abc'));
  }
  return problems;
}

/** RFC 1123 subdomain: the names of most objects. */
export function dns1123SubdomainProblems(value: string): Problems {
  if (value.length <= subdomainMax && patterns.subdomain1123.test(value)) return fine;
  const problems: string[] = [];
  if (byteLength(value) > subdomainMax) problems.push(maxLengthText(subdomainMax));
  if (!patterns.subdomain1123.test(value)) {
    const text =
      "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character";
    problems.push(formatText(text, subdomain1123, 'example.com'));
  }
  return problems;
}

const qualifiedNameText =
  "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
const qualifiedExamples = ['MyName', 'my.name', '123-abc'] as const;

/** `name` or `example.com/name`: label keys, annotation keys, finalizers, conditions. */
export function qualifiedNameProblems(value: string): Problems {
  if (value.length <= labelMax && patterns.qualifiedName.test(value)) return fine;
  const parts = value.split('/');
  if (parts.length > 2) {
    const text = `a qualified name ${formatText(qualifiedNameText, qualifiedName, ...qualifiedExamples)}`;
    return [`${text} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')`];
  }
  const problems: string[] = [];
  const [prefix, name = ''] = parts.length === 2 ? parts : [undefined, value];
  if (prefix === '') problems.push('prefix part must be non-empty');
  else if (prefix !== undefined) {
    for (const problem of dns1123SubdomainProblems(prefix)) problems.push(`prefix part ${problem}`);
  }
  if (name === '') problems.push('name part must be non-empty');
  else if (byteLength(name) > labelMax) problems.push(`name part ${maxLengthText(labelMax)}`);
  if (!patterns.qualifiedName.test(name)) {
    problems.push(`name part ${formatText(qualifiedNameText, qualifiedName, ...qualifiedExamples)}`);
  }
  return problems.length === 0 ? fine : problems;
}

export function labelValueProblems(value: string): Problems {
  if (value.length <= labelMax && patterns.labelValue.test(value)) return fine;
  const problems: string[] = [];
  if (byteLength(value) > labelMax) problems.push(maxLengthText(labelMax));
  if (!patterns.labelValue.test(value)) {
    const text =
      "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
    problems.push(formatText(text, labelValue, 'MyValue', 'my_value', '12345'));
  }
  return problems;
}

export function percentProblems(value: string): Problems {
  if (/^[0-9]+%$/.test(value)) return fine;
  const text = "a valid percent string must be a numeric string followed by an ending '%'";
  return [formatText(text, '[0-9]+%', '1%', '93%')];
}

/** `acme.io/foo`, with the part that is wrong. Upstream: `IsDomainPrefixedPath`. */
export function domainPathProblems(text: string): readonly { readonly value: string; readonly problem: string }[] {
  const slash = text.indexOf('/');
  const [host, path] = [text.slice(0, Math.max(0, slash)), text.slice(slash + 1)];
  if (host === '' || path === '') {
    return [{ value: text, problem: 'must be a domain-prefixed path (such as "acme.io/foo")' }];
  }
  const ofPath = patterns.httpPath.test(path) ? fine : [formatText('Invalid path', httpPath)];
  return [
    ...dns1123SubdomainProblems(host).map((problem) => ({ value: host, problem })),
    ...ofPath.map((problem) => ({ value: path, problem })),
  ];
}

export function portNumberProblems(port: number): Problems {
  return port >= 1 && port <= 65_535 ? fine : [rangeText(1, 65_535)];
}

export function portNameProblems(name: string): Problems {
  const problems: string[] = [];
  if (name.length > portNameMax) problems.push(maxLengthText(portNameMax));
  if (!/^[-a-z0-9]+$/.test(name)) {
    problems.push('must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)');
  }
  if (!/[a-z]/.test(name)) problems.push('must contain at least one letter (a-z)');
  if (name.includes('--')) problems.push('must not contain consecutive hyphens');
  if (name.startsWith('-') || name.endsWith('-')) problems.push('must not begin or end with a hyphen');
  return problems;
}

export function httpHeaderNameProblems(name: string): Problems {
  if (patterns.httpHeaderName.test(name)) return fine;
  const text = "a valid HTTP header must consist of alphanumeric characters or '-'";
  return [formatText(text, httpHeaderName, 'X-Header-Name')];
}

/** Any printable ASCII but `=`. Upstream: `IsRelaxedEnvVarName`. */
export function envVarNameProblems(name: string): Problems {
  if (/^[\x20-<>-~]+$/.test(name)) return fine;
  if (name === '') return ['environment variable name must be non-empty'];
  return ["a valid environment variable name must consist only of printable ASCII characters other than '='"];
}

function chdirProblems(value: string): Problems {
  if (value === '.') return ["must not be '.'"];
  if (value === '..') return ["must not be '..'"];
  return value.startsWith('..') ? ["must not start with '..'"] : fine;
}

/** A key of a config map or secret. */
export function configMapKeyProblems(key: string): Problems {
  if (key.length <= subdomainMax && patterns.configMapKey.test(key) && !key.startsWith('.')) return fine;
  const problems: string[] = [];
  if (byteLength(key) > subdomainMax) problems.push(maxLengthText(subdomainMax));
  if (!patterns.configMapKey.test(key)) {
    const text = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'";
    problems.push(formatText(text, configMapKey, 'key.name', 'KEY_NAME', 'key-name'));
  }
  return [...problems, ...chdirProblems(key)];
}

/** A name to which something will be appended may end in `-`. Upstream: `maskTrailingDash`. */
export function maskTrailingDash(name: string): string {
  return name.length > 1 && name.endsWith('-') ? `${name.slice(0, -2)}a` : name;
}
