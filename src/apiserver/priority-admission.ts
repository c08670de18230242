/** Which priority pods get, and that there is one default. Upstream: the admission plug-in `Priority`. */
import { admitPriority, defaultPriorityClass, secondDefaultProblem } from '../api/admission-priority.ts';
import type { Draft } from '../api/draft.ts';
import type { Pod, PriorityClass } from '../api/gen/types.ts';
import { resources } from '../api/resources.ts';
import type { Registry } from './registry.ts';
import { forbidden } from './respond.ts';
import type { Served } from './served.ts';
import type { FullObject } from './stored-object.ts';

/** Gives a new pod the priority of its class, in place. Returns why it is forbidden; `undefined`: it is not. */
export async function admitPodPriority(
  pod: Draft<Pod>,
  priorityClasses: Registry,
  signal: AbortSignal,
): Promise<string | undefined> {
  const className = pod.spec?.priorityClassName ?? '';
  const found = className === '' ? defaultPriorityClass(all(priorityClasses)) : await find(className);
  if (className !== '' && found === undefined) return `no PriorityClass with name ${className} was found`;
  return admitPriority(pod, found);

  async function find(wanted: string): Promise<PriorityClass | undefined> {
    const cached = priorityClasses.cache.get(priorityClasses.key('', wanted));
    if (cached !== undefined) return classOf(cached.object);
    const item = await priorityClasses.find('', wanted, signal);
    return item === undefined ? undefined : classOf(priorityClasses.cache.intern(item).object);
  }
}

/** Objects of other kinds pass. */
export function admitPriorityClass(served: Served, object: FullObject): void {
  if (served.type.resource !== resources.priorityclasses.resource) return;
  const problem = secondDefaultProblem(classOf(object), all(served.registry));
  if (problem !== undefined) throw forbidden(served.type, object.metadata.name ?? '', problem);
}

function all(priorityClasses: Registry): readonly PriorityClass[] {
  return priorityClasses.cache.items(priorityClasses.prefix).map(({ object }) => classOf(object));
}

function classOf(object: FullObject): PriorityClass {
  // Its registry has, and its path takes, no other kind.
  return object as PriorityClass & FullObject;
}
