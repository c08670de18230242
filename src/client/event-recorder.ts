import type { ObjectReference } from '../api/gen/types.ts';

/** Writes events about objects. Never blocks and never fails: what cannot be written in time is dropped and counted. */
export interface EventRecorder {
  /** `type`: `Normal` or `Warning`. `reason`: one word in CamelCase. `message`: for people. */
  event(object: ObjectReference, type: 'Normal' | 'Warning', reason: string, message: string): void;
}
