import type { RuntimeClass } from '../gen/types.ts';
import { dns1123LabelProblems } from '../names.ts';
import {
  addInvalid,
  checkImmutable,
  checkLabels,
  checkMetadata,
  checkMetadataUpdate,
  type Errors,
} from './metadata.ts';
import { checkResources } from './resources.ts';
import { checkTolerations } from './taints.ts';

/** Upstream: `ValidateRuntimeClass`. */
export function checkRuntimeClass(errors: Errors, runtimeClass: RuntimeClass): void {
  checkMetadata(errors, runtimeClass.metadata ?? {}, false, 'subdomain');
  const { handler, overhead, scheduling } = runtimeClass;
  addInvalid(errors, 'handler', handler, dns1123LabelProblems(handler));
  if (overhead !== undefined) {
    checkResources(errors, 'overhead.podFixed', { limits: overhead.podFixed ?? {} }, new Set());
  }
  if (scheduling === undefined) return;
  checkLabels(errors, 'scheduling.nodeSelector', scheduling.nodeSelector ?? {});
  checkTolerations(errors, 'scheduling.tolerations', scheduling.tolerations);
}

/** Upstream: `ValidateRuntimeClassUpdate`. */
export function checkRuntimeClassUpdate(errors: Errors, next: RuntimeClass, current: RuntimeClass): void {
  checkMetadataUpdate(errors, next.metadata ?? {}, current.metadata ?? {});
  checkImmutable(errors, 'handler', next.handler, current.handler);
}
