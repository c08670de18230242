import type { ApiConnection } from './api-connection.ts';
import { namespaceFor, type Manifest } from './manifests.ts';
import { lastAppliedAnnotation } from './printers/describe-writer.ts';
import { toJsonLine } from './printers/json-printer.ts';
import { fieldOf } from './resource-types.ts';

/** The object with its namespace filled in. */
export function prepared(
  manifest: Manifest,
  connection: Pick<ApiConnection, 'namespace' | 'namespaceIsExplicit'>,
  saveConfig: boolean,
): Readonly<Record<string, unknown>> {
  const namespace = namespaceFor(manifest, connection);
  const { metadata, ...rest } = manifest.object;
  const given = isRecord(metadata) ? metadata : {};
  const object = { ...rest, metadata: namespace === undefined || namespace === '' ? given : { ...given, namespace } };
  return saveConfig ? withLastApplied(object) : object;
}

/** The object with itself, as applied, in its annotation. Upstream: `util.CreateApplyAnnotation`. */
export function withLastApplied(object: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const metadata = fieldOf(object, 'metadata');
  const annotations = fieldOf(metadata, 'annotations');
  const { [lastAppliedAnnotation]: _old, ...kept } = isRecord(annotations) ? annotations : {};
  const meta = isRecord(metadata) ? metadata : {};
  const bare = { ...object, metadata: { ...meta, annotations: kept } };
  return { ...object, metadata: { ...meta, annotations: { ...kept, [lastAppliedAnnotation]: toJsonLine(bare) } } };
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
