import type { ConfigMap, Event, Namespace, Secret, ServiceAccount } from '../../api/gen/types.ts';
import type { KubernetesObject } from '../../api/resources.ts';
import { describeEvents } from './describe-events.ts';
import { byKey, DescribeWriter, type DescribeContext } from './describe-writer.ts';

type Events = readonly Event[] | undefined;

function identity(writer: DescribeWriter, { metadata }: KubernetesObject, namespaced: boolean): void {
  writer.line(0, `Name:\t${metadata?.name ?? ''}`);
  if (namespaced) writer.line(0, `Namespace:\t${metadata?.namespace ?? ''}`);
  writer.labels('Labels', metadata?.labels);
  writer.annotations('Annotations', metadata?.annotations);
}

/** Quotas and limit ranges are not served here, so their sections are left out, as kubectl does with such a server. */
export function describeNamespace(namespace: Namespace, context: DescribeContext): string {
  const writer = new DescribeWriter(context);
  identity(writer, namespace, false);
  writer.line(0, `Status:\t${namespace.status?.phase ?? ''}`);
  const conditions = namespace.status?.conditions ?? [];
  if (conditions.length > 0) {
    writer.line(0, 'Conditions:');
    writer.line(1, 'Type\tStatus\tLastTransitionTime\tReason\tMessage');
    writer.line(1, '----\t------\t------------------\t------\t-------');
    for (const { type, status, lastTransitionTime, reason = '', message = '' } of conditions) {
      writer.line(1, `${type}\t${status}\t${writer.time(lastTransitionTime)}\t${reason}\t${message}`);
    }
  }
  return writer.text();
}

export function describeConfigMap(configMap: ConfigMap, events: Events, context: DescribeContext): string {
  const writer = new DescribeWriter(context);
  identity(writer, configMap, true);
  writer.raw('\nData\n====\n');
  for (const [key, value] of Object.entries(configMap.data ?? {}).sort(byKey))
    writer.raw(`${key}:\n----\n${value}\n\n`);
  writer.raw('\nBinaryData\n====\n');
  for (const [key, value] of Object.entries(configMap.binaryData ?? {}).sort(byKey)) {
    writer.line(0, `${key}: ${base64Bytes(value).length} bytes`);
  }
  writer.raw('\n');
  if (events !== undefined) describeEvents(writer, events);
  return writer.text();
}

/** Values stay hidden, but for a service account's token, as upstream. */
export function describeSecret(secret: Secret, context: DescribeContext): string {
  const writer = new DescribeWriter(context);
  identity(writer, secret, true);
  writer.raw(`\nType:\t${secret.type ?? ''}\n`);
  writer.raw('\nData\n====\n');
  for (const [key, value] of Object.entries(secret.data ?? {}).sort(byKey)) {
    const bytes = base64Bytes(value);
    const isToken = key === 'token' && secret.type === 'kubernetes.io/service-account-token';
    writer.line(0, `${key}:\t${isToken ? bytes.toString('utf8') : `${bytes.length} bytes`}`);
  }
  return writer.text();
}

function base64Bytes(text: string): Buffer {
  return Buffer.from(text, 'base64');
}

export function describeServiceAccount(account: ServiceAccount, events: Events, context: DescribeContext): string {
  const writer = new DescribeWriter(context);
  identity(writer, account, true);
  describeNames(writer, 'Image pull secrets:', account.imagePullSecrets ?? []);
  describeNames(writer, 'Mountable secrets:', account.secrets ?? []);
  writer.line(0, 'Tokens:            \t<none>'); // secrets with tokens are not made any more
  if (events !== undefined) describeEvents(writer, events);
  return writer.text();
}

const accountHeaderWidth = 'Image pull secrets:'.length;

function describeNames(writer: DescribeWriter, header: string, refs: readonly { readonly name?: string }[]): void {
  if (refs.length === 0) writer.line(0, `${header.padEnd(accountHeaderWidth)}\t<none>`);
  refs.forEach(({ name = '' }, index) => {
    writer.line(0, `${(index === 0 ? header : '').padEnd(accountHeaderWidth)}\t${name}`);
  });
}

/** Any kind without a description of its own: all its fields. */
export function describeAny(
  object: KubernetesObject & Readonly<Record<string, unknown>>,
  events: Events,
  context: DescribeContext,
): string {
  const writer = new DescribeWriter(context);
  identity(writer, object, true);
  describeFields(writer, 0, object, '');
  if (events !== undefined) describeEvents(writer, events);
  return writer.text();
}

const shownAbove = new Set(
  ['managedFields', 'name', 'namespace', 'labels', 'annotations'].map((field) => `.metadata.${field}`),
);

function describeFields(
  writer: DescribeWriter,
  level: number,
  fields: Readonly<Record<string, unknown>>,
  path: string,
): void {
  for (const [name, value] of Object.entries(fields).sort(byKey)) {
    const here = `${path}.${name}`;
    if (shownAbove.has(here)) continue;
    if (Array.isArray(value)) {
      writer.line(level, `${smartLabel(name)}:`);
      for (const item of value) {
        if (isRecord(item)) describeFields(writer, level + 1, item, here);
        else writer.line(level + 1, scalarText(item));
      }
    } else if (isRecord(value)) {
      writer.line(level, `${smartLabel(name)}:`);
      describeFields(writer, level + 1, value, here);
    } else {
      writer.line(level, `${smartLabel(name)}:\t${scalarText(value)}`);
    }
  }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function scalarText(value: unknown): string {
  if (value === null || value === undefined) return '<nil>';
  return typeof value === 'string' ? value : JSON.stringify(value);
}

const acronyms = new Set(['API', 'URL', 'UID', 'GUID']);

/** `holderIdentity` -> `Holder Identity`; anything with other signs than letters and dashes stays. */
export function smartLabel(name: string): string {
  if (/[^\p{L}-]/u.test(name)) return name;
  return splitCamelCase(name)
    .map((part) => {
      if (acronyms.has(part.toUpperCase())) return part.toUpperCase();
      return part === part.toLowerCase() ? part.charAt(0).toUpperCase() + part.slice(1) : part;
    })
    .join(' ');
}

/** `hostIPs` -> host, IPs; `podCIDR` -> pod, CIDR; `APIVersion` -> API, Version. */
function splitCamelCase(name: string): string[] {
  return name.match(/\p{Lu}+(?=\p{Lu}\p{Ll})|\p{Lu}+s?(?!\p{Ll})|\p{Lu}?\p{Ll}+|[^\p{L}]+/gu) ?? [name];
}
