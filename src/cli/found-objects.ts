import type { ApiConnection } from './api-connection.ts';
import { getObject, listObjects, type Place, type WireObject } from './object-calls.ts';
import type { Target } from './targets.ts';

/** An object as it is on the server. */
export interface FoundObject {
  readonly place: Place & { readonly name: string };
  readonly object: WireObject;
}

/** Every object that the targets mean, of lists those that the selector picks. What cannot be had goes to `errors`. */
export async function findObjects(
  connection: ApiConnection,
  targets: readonly Target[],
  labelSelector: string | undefined,
  errors: unknown[],
  signal: AbortSignal,
): Promise<readonly FoundObject[]> {
  const found: FoundObject[] = [];
  for (const target of targets) {
    try {
      if (target.kind === 'object') found.push({ place: target, object: await getObject(connection, target, signal) });
      else {
        const { items } = await listObjects(connection, target, { labelSelector }, 500, signal);
        for (const object of items) {
          found.push({ place: { ...target, name: object.metadata?.name ?? '' }, object });
        }
      }
    } catch (error) {
      errors.push(error);
    }
  }
  return found;
}
