import { checkIndexRanges, checkRange } from '../index-ranges.ts';
import { duplicate, invalid, invalidUntold, required } from '../field-error.ts';
import type { Job, JobStatus } from '../gen/types.ts';
import { parseTime } from '../time.ts';
import { checkMetadataUpdate, checkNotNegative, type Errors } from './metadata.ts';
import { sameValue } from './same-value.ts';

const conditionsPath = 'status.conditions';

/** What a change of the status touches: a rule that was broken before blocks no other change. */
interface StatusChange {
  readonly next: Job;
  readonly before: JobStatus;
  readonly status: JobStatus;
  changed(...names: readonly (keyof JobStatus)[]): boolean;
  /** Whether a condition of any of these types began or ceased to hold. */
  turned(...types: readonly string[]): boolean;
}

function holds({ conditions = [] }: JobStatus, type: string): boolean {
  return conditions.some((condition) => condition.type === type && condition.status === 'True');
}

function isFinished(status: JobStatus): boolean {
  return holds(status, 'Complete') || holds(status, 'Failed');
}

/** Also other controllers write it, so it is held to be sound. Upstream: `ValidateJobUpdateStatus`. */
export function checkJobStatusUpdate(errors: Errors, next: Job, current: Job): void {
  checkMetadataUpdate(errors, next.metadata ?? {}, current.metadata ?? {});
  const [status, before] = [next.status ?? {}, current.status ?? {}];
  const change: StatusChange = {
    next,
    before,
    status,
    changed: (...names) => names.some((name) => !sameValue(status[name], before[name])),
    turned: (...types) => types.some((type) => holds(status, type) !== holds(before, type)),
  };
  for (const name of ['active', 'succeeded', 'failed', 'ready', 'terminating'] as const) {
    checkNotNegative(errors, `status.${name}`, status[name]);
  }
  checkUncounted(errors, status);
  checkEnd(errors, change);
  checkFinished(errors, change);
  checkIndexes(errors, change);
  if (change.changed('ready', 'active') && (status.ready ?? 0) > (status.active ?? 0)) {
    errors.push(invalid('status.ready', status.ready, 'cannot set more ready pods than active'));
  }
  checkSuccessCriteria(errors, change);
  checkNoWayBack(errors, change);
}

function checkUncounted(errors: Errors, { uncountedTerminatedPods = {} }: JobStatus): void {
  const seen = new Set<string>();
  for (const name of ['succeeded', 'failed'] as const) {
    uncountedTerminatedPods[name]?.forEach((uid, index) => {
      const path = `status.uncountedTerminatedPods.${name}[${index}]`;
      if (uid === '') errors.push(invalid(path, uid, 'must not be empty'));
      else if (seen.has(uid)) errors.push(duplicate(path, uid));
      seen.add(uid);
    });
  }
}

/** Which conditions and times of its end go together. */
function checkEnd(errors: Errors, { status, turned, changed }: StatusChange): void {
  const path = 'status.completionTime';
  const { completionTime, startTime } = status;
  const isComplete = holds(status, 'Complete');
  const refuse = (what: string): void => void errors.push(invalidUntold(conditionsPath, what));
  if (turned('Complete', 'Failed') && isComplete && holds(status, 'Failed')) {
    refuse('cannot set Complete=True and Failed=true conditions');
  }
  if (turned('Complete', 'FailureTarget') && isComplete && holds(status, 'FailureTarget')) {
    refuse('cannot set Complete=True and FailureTarget=true conditions');
  }
  if (turned('Complete') || changed('completionTime')) {
    if (completionTime !== undefined && !isComplete) {
      const text = 'cannot set completionTime when there is no Complete=True condition';
      errors.push(invalid(path, completionTime, text));
    }
    if (completionTime === undefined && isComplete) {
      errors.push(required(path, 'completionTime is required for Complete jobs'));
    }
  }
  const [startMs, endMs] = [parseTime(startTime ?? ''), parseTime(completionTime ?? '')];
  if (changed('startTime', 'completionTime') && startMs !== undefined && endMs !== undefined && endMs < startMs) {
    errors.push(invalid(path, completionTime, 'completionTime cannot be set before startTime'));
  }
  if (turned('Failed', 'FailureTarget') && holds(status, 'Failed') && !holds(status, 'FailureTarget')) {
    refuse('cannot set Failed=True condition without the FailureTarget=true condition');
  }
  if (turned('Complete', 'SuccessCriteriaMet') && isComplete && !holds(status, 'SuccessCriteriaMet')) {
    refuse('cannot set Complete=True condition without the SuccessCriteriaMet=true condition');
  }
}

/** What a finished job no longer has. */
function checkFinished(errors: Errors, { status, turned, changed }: StatusChange): void {
  if (!isFinished(status)) return;
  const { active = 0, terminating = 0, startTime, uncountedTerminatedPods = {} } = status;
  const isNews = turned('Complete') || turned('Failed');
  if ((isNews || changed('active')) && active > 0) {
    errors.push(invalid('status.active', active, 'active>0 is invalid for finished job'));
  }
  if ((isNews || changed('startTime')) && startTime === undefined) {
    errors.push(required('status.startTime', 'startTime is required for finished job'));
  }
  const { succeeded = [], failed = [] } = uncountedTerminatedPods;
  if ((isNews || changed('uncountedTerminatedPods')) && succeeded.length + failed.length > 0) {
    const text = 'uncountedTerminatedPods needs to be empty for finished job';
    errors.push(invalid('status.uncountedTerminatedPods', uncountedTerminatedPods, text));
  }
  if ((isNews || changed('terminating')) && terminating > 0) {
    errors.push(invalid('status.terminating', terminating, 'terminating>0 is invalid for finished job'));
  }
}

function checkIndexes(errors: Errors, { next, status, changed }: StatusChange): void {
  const { completions, completionMode, backoffLimitPerIndex } = next.spec ?? {};
  const { completedIndexes = '', failedIndexes } = status;
  const check = (name: 'completedIndexes' | 'failedIndexes', text: string): void => {
    const checked = checkIndexRanges(text, completions ?? 0);
    if (completions === undefined || checked.kind === 'fine') return;
    errors.push(invalid(`status.${name}`, text, `error parsing ${name}: ${checked.problem}`));
  };
  if (changed('completedIndexes')) {
    check('completedIndexes', completedIndexes);
    if (completedIndexes !== '' && completionMode !== 'Indexed') {
      const text = 'cannot set non-empty completedIndexes when non-indexed completion mode';
      errors.push(invalid('status.completedIndexes', completedIndexes, text));
    }
  }
  if (failedIndexes === undefined || !changed('failedIndexes', 'completedIndexes')) return;
  if (changed('failedIndexes')) {
    if (backoffLimitPerIndex !== undefined) check('failedIndexes', failedIndexes);
    else {
      const text = 'cannot set non-null failedIndexes when backoffLimitPerIndex is null';
      errors.push(invalid('status.failedIndexes', failedIndexes, text));
    }
  }
  const overlap = completions === undefined ? undefined : overlapOf(completedIndexes, failedIndexes, completions);
  if (overlap === undefined) return;
  const text = `failedIndexes and completedIndexes overlap at index: ${overlap}`;
  errors.push(invalid('status.failedIndexes', failedIndexes, text));
}

/** The first index that is in both; what is no range is told of elsewhere. */
function overlapOf(completed: string, failed: string, completions: number): number | undefined {
  const rangesIn = (text: string) =>
    text
      .split(',')
      .map((part) => checkRange(part, completions))
      .filter((range) => typeof range !== 'string');
  const [ofCompleted, ofFailed] = [rangesIn(completed), rangesIn(failed)];
  for (let [a, b] = [0, 0]; ;) {
    const [one, other] = [ofCompleted[a], ofFailed[b]];
    if (one === undefined || other === undefined) return undefined;
    if (one.first <= other.last && other.first <= one.last) return Math.max(one.first, other.first);
    if (one.first <= other.first) a += 1;
    else b += 1;
  }
}

function checkSuccessCriteria(errors: Errors, { next, status }: StatusChange): void {
  const isMet = holds(status, 'SuccessCriteriaMet');
  const refuse = (what: string): void => void errors.push(invalidUntold(conditionsPath, what));
  if (isMet && holds(status, 'Failed')) refuse('cannot set SuccessCriteriaMet=True and Failed=true conditions');
  if (isMet && holds(status, 'FailureTarget')) {
    refuse('cannot set SuccessCriteriaMet=True and FailureTarget=true conditions');
  }
  if (next.spec?.successPolicy !== undefined && !isMet && holds(status, 'Complete')) {
    refuse('cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True');
  }
}

/** What has happened stays so. */
function checkNoWayBack(errors: Errors, { next, status, before, changed }: StatusChange): void {
  const refuse = (what: string): void => void errors.push(invalidUntold(conditionsPath, what));
  for (const type of ['Failed', 'Complete', 'FailureTarget']) {
    if (holds(before, type) && !holds(status, type)) refuse(`cannot disable the terminal ${type}=True condition`);
  }
  const { completionMode, completions, parallelism, suspend } = next.spec ?? {};
  const mayShrink = completionMode === 'Indexed' && completions === parallelism;
  for (const name of ['failed', 'succeeded'] as const) {
    if (name === 'succeeded' && mayShrink) continue;
    if ((status[name] ?? 0) < (before[name] ?? 0)) {
      errors.push(invalid(`status.${name}`, status[name] ?? 0, `cannot decrease the ${name} counter`));
    }
  }
  const { completionTime, startTime } = status;
  if (completionTime !== undefined && before.completionTime !== undefined && changed('completionTime')) {
    errors.push(invalid('status.completionTime', completionTime, 'completionTime cannot be mutated'));
  }
  // When it is resumed, its time begins anew.
  const isResumed = startTime !== undefined && holds(before, 'Suspended') && !holds(status, 'Suspended');
  if (before.startTime !== undefined && changed('startTime') && suspend !== true && !isResumed) {
    errors.push(required('status.startTime', 'startTime cannot be removed for unsuspended job'));
  }
  if (holds(before, 'SuccessCriteriaMet') && !holds(status, 'SuccessCriteriaMet')) {
    refuse('cannot disable the SuccessCriteriaMet=True condition');
  }
  const wasComplete = holds(before, 'Complete') && !holds(before, 'SuccessCriteriaMet');
  if (wasComplete && holds(status, 'SuccessCriteriaMet')) {
    refuse('cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions');
  }
}
