import type { Draft } from './draft.ts';
import type { Pod, PriorityClass } from './gen/types.ts';

/**
 * Gives a new pod the priority of its class, in place; `undefined`: it has none. Returns why it is refused. Upstream:
 * the admission plug-in `Priority`.
 */
export function admitPriority(pod: Draft<Pod>, priorityClass: PriorityClass | undefined): string | undefined {
  const { spec } = pod;
  if (spec === undefined) return undefined;
  const { value = 0, preemptionPolicy: policy = 'PreemptLowerPriority' } = priorityClass ?? {};
  if (priorityClass !== undefined) spec.priorityClassName = priorityClass.metadata?.name ?? '';
  const refusal = (what: string, given: string | number, computed: string | number): string =>
    `${what} (${given}) must not be provided in pod spec; priority admission controller computed ${computed} from the ` +
    'given PriorityClass name';
  if (spec.priority !== undefined && spec.priority !== value) {
    return refusal('the integer value of priority', spec.priority, value);
  }
  spec.priority = value;
  if (spec.preemptionPolicy !== undefined && spec.preemptionPolicy !== policy) {
    return refusal('the string value of PreemptionPolicy', spec.preemptionPolicy, policy);
  }
  spec.preemptionPolicy = policy;
  return undefined;
}

/** The class of pods that name none; of several, the one of the least value. */
export function defaultPriorityClass(all: Iterable<PriorityClass>): PriorityClass | undefined {
  let found: PriorityClass | undefined;
  for (const each of all) {
    if (each.globalDefault === true && (found === undefined || each.value < found.value)) found = each;
  }
  return found;
}

/** Why this class may not be written, as another is the default already. */
export function secondDefaultProblem(next: PriorityClass, all: Iterable<PriorityClass>): string | undefined {
  if (next.globalDefault !== true) return undefined;
  const name = defaultPriorityClass(all)?.metadata?.name;
  if (name === undefined || name === next.metadata?.name) return undefined;
  return `PriorityClass ${name} is already marked as default. Only one default can exist`;
}
