import { duplicate, forbidden, invalid, notSupported, required } from '../field-error.ts';
import type {
  Affinity,
  LabelSelector,
  LabelSelectorRequirement,
  NodeSelectorRequirement,
  NodeSelectorTerm,
  PodAffinity,
  PodAffinityTerm,
  PodAntiAffinity,
  TopologySpreadConstraint,
} from '../gen/types.ts';
import { dns1123LabelProblems, dns1123SubdomainProblems, labelValueProblems, qualifiedNameProblems } from '../names.ts';
import { addInvalid, checkLabels, type Errors } from './metadata.ts';
import { checkOneOf } from './security.ts';

const requiredTerms = 'requiredDuringSchedulingIgnoredDuringExecution';
const preferredTerms = 'preferredDuringSchedulingIgnoredDuringExecution';
const inText = "must be specified when `operator` is 'In' or 'NotIn'";
const existsText = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
const operatorText = 'not a valid selector operator';

/** Upstream: `validateAffinity`. */
export function checkAffinity(errors: Errors, path: string, affinity: Affinity | undefined): void {
  if (affinity === undefined) return;
  const { nodeAffinity, podAffinity, podAntiAffinity } = affinity;
  if (nodeAffinity !== undefined) {
    const at = `${path}.nodeAffinity`;
    const terms = nodeAffinity[requiredTerms]?.nodeSelectorTerms;
    if (terms !== undefined) checkNodeSelectorTerms(errors, `${at}.${requiredTerms}.nodeSelectorTerms`, terms);
    nodeAffinity[preferredTerms]?.forEach(({ weight, preference }, index) => {
      checkWeight(errors, `${at}.${preferredTerms}[${index}].weight`, weight);
      checkNodeSelectorTerm(errors, `${at}.${preferredTerms}[${index}].preference`, preference, false);
    });
  }
  if (podAffinity !== undefined) checkPodAffinity(errors, `${path}.podAffinity`, podAffinity);
  if (podAntiAffinity !== undefined) checkPodAffinity(errors, `${path}.podAntiAffinity`, podAntiAffinity);
}

function checkWeight(errors: Errors, path: string, weight: number): void {
  if (weight <= 0 || weight > 100) errors.push(invalid(path, weight, 'must be in the range 1-100'));
}

function checkNodeSelectorTerms(errors: Errors, path: string, terms: readonly NodeSelectorTerm[]): void {
  if (terms.length === 0) errors.push(required(path, 'must have at least one node selector term'));
  terms.forEach((term, index) => checkNodeSelectorTerm(errors, `${path}[${index}]`, term, true));
}

function checkNodeSelectorTerm(errors: Errors, path: string, term: NodeSelectorTerm, checksValues: boolean): void {
  term.matchExpressions?.forEach((requirement, index) => {
    checkNodeRequirement(errors, `${path}.matchExpressions[${index}]`, requirement, checksValues);
  });
  term.matchFields?.forEach((requirement, index) => {
    checkNodeField(errors, `${path}.matchFields[${index}]`, requirement);
  });
}

function checkNodeRequirement(
  errors: Errors,
  path: string,
  requirement: NodeSelectorRequirement,
  checksValues: boolean,
): void {
  const { key, operator, values = [] } = requirement;
  if (operator === 'In' || operator === 'NotIn') {
    if (values.length === 0) errors.push(required(`${path}.values`, inText));
  } else if (operator === 'Exists' || operator === 'DoesNotExist') {
    if (values.length > 0) errors.push(forbidden(`${path}.values`, existsText));
  } else if (operator === 'Gt' || operator === 'Lt') {
    const text = "must be specified single value when `operator` is 'Lt' or 'Gt'";
    if (values.length !== 1) errors.push(required(`${path}.values`, text));
  } else errors.push(invalid(`${path}.operator`, operator, operatorText));
  addInvalid(errors, `${path}.key`, key, qualifiedNameProblems(key));
  if (!checksValues) return;
  values.forEach((value, index) => addInvalid(errors, `${path}.values[${index}]`, value, labelValueProblems(value)));
}

function checkNodeField(errors: Errors, path: string, requirement: NodeSelectorRequirement): void {
  const { key, operator, values = [] } = requirement;
  if (operator !== 'In' && operator !== 'NotIn') errors.push(invalid(`${path}.operator`, operator, operatorText));
  else if (values.length !== 1) {
    const text = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector";
    errors.push(required(`${path}.values`, text));
  }
  if (key !== 'metadata.name') errors.push(invalid(`${path}.key`, key, 'not a valid field selector key'));
  else {
    values.forEach((value, index) => {
      addInvalid(errors, `${path}.values[${index}]`, value, dns1123SubdomainProblems(value));
    });
  }
}

function checkPodAffinity(errors: Errors, path: string, affinity: PodAffinity | PodAntiAffinity): void {
  affinity[requiredTerms]?.forEach((term, index) => checkPodTerm(errors, `${path}.${requiredTerms}[${index}]`, term));
  affinity[preferredTerms]?.forEach(({ weight, podAffinityTerm }, index) => {
    const at = `${path}.${preferredTerms}[${index}]`;
    checkWeight(errors, `${at}.weight`, weight);
    checkPodTerm(errors, `${at}.podAffinityTerm`, podAffinityTerm);
  });
}

function checkPodTerm(errors: Errors, path: string, term: PodAffinityTerm): void {
  if (term.labelSelector !== undefined) checkLabelSelector(errors, `${path}.labelSelector`, term.labelSelector);
  if (term.namespaceSelector !== undefined) {
    checkLabelSelector(errors, `${path}.namespaceSelector`, term.namespaceSelector);
  }
  for (const name of term.namespaces ?? []) {
    addInvalid(errors, `${path}.namespace`, name, dns1123LabelProblems(name));
  }
  const { matchLabelKeys = [], mismatchLabelKeys = [] } = term;
  checkLabelKeys(errors, `${path}.matchLabelKeys`, matchLabelKeys, term.labelSelector);
  checkLabelKeys(errors, `${path}.mismatchLabelKeys`, mismatchLabelKeys, term.labelSelector);
  matchLabelKeys.forEach((key, index) => {
    if (!mismatchLabelKeys.includes(key)) return;
    const text = 'exists in both matchLabelKeys and mismatchLabelKeys';
    errors.push(invalid(`${path}.matchLabelKeys[${index}]`, key, text));
  });
  if (term.topologyKey === '') errors.push(required(`${path}.topologyKey`, 'can not be empty'));
  addInvalid(errors, `${path}.topologyKey`, term.topologyKey, qualifiedNameProblems(term.topologyKey));
}

function checkLabelKeys(
  errors: Errors,
  path: string,
  keys: readonly string[],
  selector: LabelSelector | undefined,
): void {
  if (keys.length > 0 && selector === undefined) {
    errors.push(forbidden(path, 'must not be specified when labelSelector is not set'));
  }
  keys.forEach((key, index) => addInvalid(errors, `${path}[${index}]`, key, qualifiedNameProblems(key)));
}

/** Upstream: `ValidateLabelSelector`. */
export function checkLabelSelector(errors: Errors, path: string, selector: LabelSelector): void {
  checkLabels(errors, `${path}.matchLabels`, selector.matchLabels ?? {});
  selector.matchExpressions?.forEach((requirement, index) => {
    checkLabelRequirement(errors, `${path}.matchExpressions[${index}]`, requirement);
  });
}

function checkLabelRequirement(errors: Errors, path: string, requirement: LabelSelectorRequirement): void {
  const { key, operator, values = [] } = requirement;
  if (operator === 'In' || operator === 'NotIn') {
    if (values.length === 0) errors.push(required(`${path}.values`, inText));
  } else if (operator === 'Exists' || operator === 'DoesNotExist') {
    if (values.length > 0) errors.push(forbidden(`${path}.values`, existsText));
  } else errors.push(invalid(`${path}.operator`, operator, operatorText));
  addInvalid(errors, `${path}.key`, key, qualifiedNameProblems(key));
  values.forEach((value, index) => addInvalid(errors, `${path}.values[${index}]`, value, labelValueProblems(value)));
}

const whenUnsatisfiable = ['DoNotSchedule', 'ScheduleAnyway'] as const;
const nodePolicies = ['Honor', 'Ignore'] as const;

/** Upstream: `validateTopologySpreadConstraints`. */
export function checkTopologySpread(
  errors: Errors,
  path: string,
  constraints: readonly TopologySpreadConstraint[] | undefined,
): void {
  const seen = new Set<string>();
  constraints?.forEach((constraint, index) => {
    const at = `${path}[${index}]`;
    const { maxSkew, topologyKey, minDomains } = constraint;
    const when = constraint.whenUnsatisfiable;
    if (maxSkew <= 0) errors.push(invalid(`${at}.maxSkew`, maxSkew, 'must be greater than zero'));
    if (topologyKey === '') errors.push(required(`${at}.topologyKey`, 'can not be empty'));
    else addInvalid(errors, `${at}.topologyKey`, topologyKey, qualifiedNameProblems(topologyKey));
    if (!whenUnsatisfiable.some((known) => known === when)) {
      errors.push(notSupported(`${at}.whenUnsatisfiable`, when, whenUnsatisfiable));
    }
    const pair = `{${topologyKey}, ${when}}`;
    if (seen.has(pair)) errors.push(duplicate(`${at}.{topologyKey, whenUnsatisfiable}`, pair));
    seen.add(pair);
    if (minDomains !== undefined) {
      if (minDomains <= 0) errors.push(invalid(`${at}.minDomains`, minDomains, 'must be greater than zero'));
      if (when !== 'DoNotSchedule') {
        const text = `can only use minDomains if whenUnsatisfiable=DoNotSchedule, not ${when}`;
        errors.push(invalid(`${at}.minDomains`, minDomains, text));
      }
    }
    checkOneOf(errors, `${at}.nodeAffinityPolicy`, constraint.nodeAffinityPolicy, nodePolicies);
    checkOneOf(errors, `${at}.nodeTaintsPolicy`, constraint.nodeTaintsPolicy, nodePolicies);
    checkLabelKeys(errors, `${at}.matchLabelKeys`, constraint.matchLabelKeys ?? [], constraint.labelSelector);
    if (constraint.labelSelector !== undefined) {
      checkLabelSelector(errors, `${at}.labelSelector`, constraint.labelSelector);
    }
  });
}
