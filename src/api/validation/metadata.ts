import { type FieldError, forbidden, invalid, required, tooLong } from '../field-error.ts';
import type { ManagedFieldsEntry, ObjectMeta, OwnerReference } from '../gen/types.ts';
import { goQuote } from '../go-text.ts';
import {
  byteLength,
  dns1123LabelProblems,
  dns1123SubdomainProblems,
  labelValueProblems,
  maskTrailingDash,
  qualifiedNameProblems,
} from '../names.ts';
import { unreachable } from '../../base/status-error.ts';
import { sameValue } from './same-value.ts';

/** Checks append what they find to this list, in upstream's order. */
export type Errors = FieldError[];

export const negativeText = 'must be greater than or equal to 0';
export const immutableText = 'field is immutable';
const annotationBytesMax = 256 * 1024;
const fieldManagerBytesMax = 128;
const subresourceBytesMax = 256;

/** What a kind's names look like. */
export type NameRule = 'subdomain' | 'label' | 'path';

export function nameProblems(name: string, rule: NameRule): readonly string[] {
  switch (rule) {
    case 'label':
      return dns1123LabelProblems(name);
    case 'path':
      return pathSegmentProblems(name);
    case 'subdomain':
      return dns1123SubdomainProblems(name);
    default:
      return unreachable(rule);
  }
}

/** Upstream: `path.IsValidPathSegmentName`. */
function pathSegmentProblems(name: string): readonly string[] {
  if (name === '.' || name === '..') return [`may not be '${name}'`];
  return ['/', '%'].filter((text) => name.includes(text)).map((text) => `may not contain '${text}'`);
}

export function addInvalid(errors: Errors, field: string, value: unknown, problems: readonly string[]): void {
  for (const problem of problems) errors.push(invalid(field, value, problem));
}

export function checkNotNegative(errors: Errors, field: string, value: number | undefined): void {
  if (value !== undefined && value < 0) errors.push(invalid(field, value, negativeText));
}

export function checkImmutable(errors: Errors, field: string, next: unknown, current: unknown): void {
  if (!sameValue(next, current)) errors.push(invalid(field, next, immutableText));
}

/** Upstream: `ValidateObjectMeta`. */
export function checkMetadata(errors: Errors, meta: ObjectMeta, namespaced: boolean, rule: NameRule): void {
  const { generateName = '', name = '', namespace = '' } = meta;
  if (generateName !== '') {
    addInvalid(errors, 'metadata.generateName', generateName, nameProblems(maskTrailingDash(generateName), rule));
  }
  if (name === '') errors.push(required('metadata.name', 'name or generateName is required'));
  else addInvalid(errors, 'metadata.name', name, nameProblems(name, rule));
  if (!namespaced) {
    if (namespace !== '') errors.push(forbidden('metadata.namespace', 'not allowed on this type'));
  } else if (namespace === '') errors.push(required('metadata.namespace'));
  else addInvalid(errors, 'metadata.namespace', namespace, dns1123LabelProblems(namespace));
  checkNotNegative(errors, 'metadata.generation', meta.generation);
  checkSharedMetadata(errors, meta);
  for (const finalizer of meta.finalizers ?? []) {
    addInvalid(errors, 'metadata.finalizers', finalizer, qualifiedNameProblems(finalizer));
  }
  checkFinalizerPair(errors, meta.finalizers);
  checkManagedFields(errors, meta.managedFields);
  checkKubeFinalizers(errors, meta.finalizers);
}

function checkSharedMetadata(errors: Errors, meta: ObjectMeta): void {
  if (meta.labels !== undefined) checkLabels(errors, 'metadata.labels', meta.labels);
  if (meta.annotations !== undefined) checkAnnotations(errors, 'metadata.annotations', meta.annotations);
  if (meta.ownerReferences !== undefined) checkOwners(errors, meta.ownerReferences);
}

export function checkLabels(errors: Errors, field: string, labels: Readonly<Record<string, string>>): void {
  for (const key in labels) {
    addInvalid(errors, field, key, qualifiedNameProblems(key));
    const value = labels[key] ?? '';
    addInvalid(errors, field, value, labelValueProblems(value));
  }
}

export function checkAnnotations(errors: Errors, field: string, annotations: Readonly<Record<string, string>>): void {
  let bytes = 0;
  for (const key in annotations) {
    // As upstream: the case of the key does not matter here.
    addInvalid(errors, field, key, qualifiedNameProblems(key.toLowerCase()));
    bytes += byteLength(key) + byteLength(annotations[key] ?? '');
  }
  if (bytes > annotationBytesMax) errors.push(tooLong(field, annotationBytesMax));
}

function checkOwners(errors: Errors, owners: readonly OwnerReference[]): void {
  const field = 'metadata.ownerReferences';
  let firstController = '';
  for (const owner of owners) {
    const version = owner.apiVersion.slice(owner.apiVersion.indexOf('/') + 1);
    if (version === '') errors.push(invalid(`${field}.apiVersion`, owner.apiVersion, 'version must not be empty'));
    if (owner.kind === '') errors.push(invalid(`${field}.kind`, owner.kind, 'must not be empty'));
    if (owner.name === '') errors.push(invalid(`${field}.name`, owner.name, 'must not be empty'));
    if (owner.uid === '') errors.push(invalid(`${field}.uid`, owner.uid, 'must not be empty'));
    if (owner.apiVersion === 'v1' && owner.kind === 'Event') {
      errors.push(invalid(field, owner, '/v1, Kind=Event is disallowed from being an owner'));
    }
    if (owner.controller !== true) continue;
    const controller = `${owner.kind}/${owner.name}`;
    if (firstController === '') firstController = controller;
    else {
      const found = `Found "true" in references for ${firstController} and ${controller}`;
      errors.push(invalid(field, owners, `Only one reference can have Controller set to true. ${found}`));
    }
  }
}

function checkFinalizerPair(errors: Errors, finalizers: readonly string[] | undefined): void {
  if (finalizers === undefined || !finalizers.includes('orphan') || !finalizers.includes('foregroundDeletion')) return;
  const text = 'finalizer orphan and foregroundDeletion cannot be both set';
  errors.push(invalid('metadata.finalizers', finalizers, text));
}

const plainFinalizers: ReadonlySet<string> = new Set(['kubernetes', 'orphan', 'foregroundDeletion']);

/** Finalizers without a domain are Kubernetes' own. */
function checkKubeFinalizers(errors: Errors, finalizers: readonly string[] | undefined): void {
  finalizers?.forEach((finalizer, index) => {
    if (finalizer.includes('/') || plainFinalizers.has(finalizer)) return;
    const text = 'name is neither a standard finalizer name nor is it fully qualified';
    errors.push(invalid(`metadata.finalizers[${index}]`, finalizer, text));
  });
}

function checkManagedFields(errors: Errors, entries: readonly ManagedFieldsEntry[] | undefined): void {
  entries?.forEach((entry, index) => {
    const field = `metadata.managedFields[${index}]`;
    const { operation = '', fieldsType = '', manager = '', subresource = '' } = entry;
    if (operation !== 'Apply' && operation !== 'Update') {
      errors.push(invalid(`${field}.operation`, operation, 'must be `Apply` or `Update`'));
    }
    if (fieldsType !== '' && fieldsType !== 'FieldsV1') {
      errors.push(invalid(`${field}.fieldsType`, fieldsType, 'must be `FieldsV1`'));
    }
    checkFieldManager(errors, `${field}.manager`, manager);
    if (byteLength(subresource) > subresourceBytesMax)
      errors.push(tooLong(`${field}.subresource`, subresourceBytesMax));
  });
}

/** Go's `unicode.IsPrint`: letters, marks, numbers, punctuation, symbols, and the ASCII space. */
const isPrintable = /^[\p{L}\p{M}\p{N}\p{P}\p{S} ]$/u;

/** Upstream: `ValidateFieldManager`. */
export function checkFieldManager(errors: Errors, field: string, name: string): void {
  if (byteLength(name) > fieldManagerBytesMax) errors.push(tooLong(field, fieldManagerBytesMax));
  let at = 0;
  for (const char of name) {
    if (!isPrintable.test(char)) {
      const code = (char.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0');
      errors.push(invalid(field, name, `invalid character U+${code} (at position ${at})`));
    }
    at += byteLength(char);
  }
}

/** Upstream: `ValidateObjectMetaUpdate`. */
export function checkMetadataUpdate(errors: Errors, next: ObjectMeta, current: ObjectMeta): void {
  if (current.deletionTimestamp !== undefined) checkNoNewFinalizers(errors, next, current);
  if ((next.resourceVersion ?? '') === '') {
    errors.push(invalid('metadata.resourceVersion', next.resourceVersion ?? '', 'must be specified for an update'));
  }
  if ((next.generation ?? 0) < (current.generation ?? 0)) {
    errors.push(invalid('metadata.generation', next.generation ?? 0, 'must not be decremented'));
  }
  checkImmutable(errors, 'metadata.name', next.name ?? '', current.name ?? '');
  checkImmutable(errors, 'metadata.namespace', next.namespace ?? '', current.namespace ?? '');
  checkImmutable(errors, 'metadata.uid', next.uid ?? '', current.uid ?? '');
  for (const name of ['creationTimestamp', 'deletionTimestamp', 'deletionGracePeriodSeconds'] as const) {
    checkImmutable(errors, `metadata.${name}`, next[name], current[name]);
  }
  checkSharedMetadata(errors, next);
  checkManagedFields(errors, next.managedFields);
  checkKubeFinalizers(errors, next.finalizers);
}

function checkNoNewFinalizers(errors: Errors, next: ObjectMeta, current: ObjectMeta): void {
  const extra = [...new Set(next.finalizers)].filter((name) => !(current.finalizers ?? []).includes(name)).sort();
  if (extra.length === 0) return;
  const found = `found new finalizers []string{${extra.map(goQuote).join(', ')}}`;
  const text = `no new finalizers can be added if the object is being deleted, ${found}`;
  errors.push(forbidden('metadata.finalizers', text));
}
