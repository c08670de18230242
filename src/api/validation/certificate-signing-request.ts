import { duplicate, forbidden, invalid, notSupported, required } from '../field-error.ts';
import type { CertificateSigningRequest } from '../gen/types.ts';
import { dns1123SubdomainProblems } from '../names.ts';
import { addInvalid, checkMetadata, checkMetadataUpdate, type Errors } from './metadata.ts';
import { sameValue } from './same-value.ts';

const expirationSecondsMin = 600;
/** Upstream: `certificates.KeyUsage`. */
const keyUsages: readonly string[] = [
  'any',
  'cert sign',
  'client auth',
  'code signing',
  'content commitment',
  'crl sign',
  'data encipherment',
  'decipher only',
  'digital signature',
  'email protection',
  'encipher only',
  'ipsec end system',
  'ipsec tunnel',
  'ipsec user',
  'key agreement',
  'key encipherment',
  'microsoft sgc',
  'netscape sgc',
  'ocsp signing',
  's/mime',
  'server auth',
  'signing',
  'timestamping',
];
const verdicts: readonly string[] = ['Approved', 'Denied'];
const pemBlock = /-----BEGIN ([A-Z0-9 ]+)-----\s*([A-Za-z0-9+/=\s]+?)\s*-----END \1-----/;

/** Upstream: `ValidateCertificateSigningRequestCreate`. Whether the request itself is sound is for its signer to say. */
export function checkSigningRequest(errors: Errors, object: CertificateSigningRequest): void {
  checkMetadata(errors, object.metadata ?? {}, false, 'path');
  const { request, usages = [], signerName, expirationSeconds } = object.spec;
  if (pemBlock.exec(textOf(request))?.[1] !== 'CERTIFICATE REQUEST') {
    errors.push(invalid('spec.request', request, 'PEM block type must be CERTIFICATE REQUEST'));
  }
  if (usages.length === 0) errors.push(required('spec.usages', 'usages must be provided'));
  for (const [index, usage] of usages.entries()) {
    if (!keyUsages.includes(usage)) errors.push(notSupported(`spec.usages[${index}]`, usage, keyUsages));
    else if (usages.indexOf(usage) < index) errors.push(duplicate(`spec.usages[${index}]`, usage));
  }
  checkSignerName(errors, signerName);
  if (expirationSeconds !== undefined && expirationSeconds < expirationSecondsMin) {
    const text = `may not specify a duration less than ${expirationSecondsMin} seconds (10 minutes)`;
    errors.push(invalid('spec.expirationSeconds', expirationSeconds, text));
  }
  checkConditions(errors, object);
}

function textOf(base64: string): string {
  try {
    return atob(base64);
  } catch {
    return ''; // no base64, and so no PEM either
  }
}

/** Upstream: `ValidateSignerName`. */
function checkSignerName(errors: Errors, signerName: string): void {
  const field = 'spec.signerName';
  if (signerName === '') {
    errors.push(required(field));
    return;
  }
  if (signerName === 'kubernetes.io/legacy-unknown') {
    errors.push(invalid(field, signerName, 'the legacy signerName is not allowed via this API version'));
    return;
  }
  const [domain = '', path = '', ...more] = signerName.split('/');
  if (domain === '' || path === '' || more.length > 0) {
    const text = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
    errors.push(invalid(field, signerName, text));
    return;
  }
  addInvalid(errors, field, domain, dns1123SubdomainProblems(domain));
  if (!domain.includes('.'))
    errors.push(invalid(field, domain, 'should be a domain with at least two segments separated by dots'));
  addInvalid(errors, field, path, dns1123SubdomainProblems(path));
}

function checkConditions(errors: Errors, { status }: CertificateSigningRequest): void {
  const field = 'status.conditions';
  const conditions = status?.conditions ?? [];
  for (const [index, condition] of conditions.entries()) {
    const at = `${field}[${index}]`;
    if (condition.type === '') errors.push(required(`${at}.type`));
    if ([...verdicts, 'Failed'].includes(condition.type) && condition.status !== 'True') {
      errors.push(notSupported(`${at}.status`, condition.status, ['True']));
    }
    if (conditions.findIndex(({ type }) => type === condition.type) < index) {
      errors.push(duplicate(`${at}.type`, condition.type));
    }
  }
  if (verdicts.every((verdict) => conditions.some(({ type }) => type === verdict))) {
    errors.push(invalid(field, 'Denied', 'Approved and Denied conditions are mutually exclusive'));
  }
}

/** Upstream: `ValidateCertificateSigningRequestUpdate`; with `part` also those of the subresources. */
function checkUpdate(
  errors: Errors,
  next: CertificateSigningRequest,
  current: CertificateSigningRequest,
  mayJudge: boolean,
): void {
  checkMetadataUpdate(errors, next.metadata ?? {}, current.metadata ?? {});
  checkConditions(errors, next);
  for (const type of [...verdicts, 'Failed']) {
    const found = next.status?.conditions?.find((condition) => condition.type === type);
    const before = current.status?.conditions?.find((condition) => condition.type === type);
    const refuse = (what: string): void => {
      errors.push(forbidden('status.conditions', `updates may not ${what} a condition of type "${type}"`));
    };
    if (found === undefined && before !== undefined) refuse('remove');
    else if (type === 'Failed' || found === undefined) continue;
    else if (before === undefined) {
      if (!mayJudge) refuse('add');
    } else if (!mayJudge && !sameValue(found, before)) refuse('modify');
  }
  const [certificate, before] = [next.status?.certificate ?? '', current.status?.certificate ?? ''];
  if (before !== '' && certificate !== before) {
    errors.push(forbidden('status.certificate', 'updates may not modify existing certificate content'));
  } else if (certificate !== before && pemBlock.exec(textOf(certificate))?.[1] !== 'CERTIFICATE') {
    errors.push(invalid('status.certificate', '<certificate data>', 'must contain at least one CERTIFICATE PEM block'));
  }
}

export function checkSigningRequestUpdate(
  errors: Errors,
  next: CertificateSigningRequest,
  current: CertificateSigningRequest,
): void {
  checkUpdate(errors, next, current, false);
}

/** Of `/approval`: only there a request is approved or denied. */
export function checkSigningRequestApproval(
  errors: Errors,
  next: CertificateSigningRequest,
  current: CertificateSigningRequest,
): void {
  checkUpdate(errors, next, current, true);
}
