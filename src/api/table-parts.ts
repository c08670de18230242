/** What the tables of all kinds are made of. */
import { ageOf } from './age.ts';
import type { KubernetesObject } from './resources.ts';

export interface TableColumn {
  readonly name: string;
  readonly type: 'string' | 'integer' | 'boolean';
  readonly format: 'name' | '';
  readonly description: string;
  /** 0: always shown, 1: only with `-o wide`. */
  readonly priority: 0 | 1;
}

export type Cell = string | number | boolean;

export interface TableRow {
  readonly cells: readonly Cell[];
  readonly conditions?: readonly {
    readonly type: string;
    readonly status: string;
    readonly reason: string;
    readonly message: string;
  }[];
  /** `PartialObjectMetadata`, or the object itself; absent with `includeObject=None`. */
  readonly object?: KubernetesObject;
}

/** How the objects of one kind are shown. */
export interface Printer {
  readonly columns: readonly TableColumn[];
  cells(object: KubernetesObject, nowWallMs: number): Cell[];
  readonly conditions: ((object: KubernetesObject) => TableRow['conditions']) | undefined;
}

export const none = '<none>';

export function orNone(text: string | undefined): string {
  return text === undefined || text === '' ? none : text;
}

export function column(name: string, description: string, priority: 0 | 1 = 0): TableColumn {
  return { name, type: 'string', format: name === 'Name' && priority === 0 ? 'name' : '', description, priority };
}

export function numberColumn(name: string, description: string): TableColumn {
  return { ...column(name, description), type: 'integer' };
}

export const nameColumn = column('Name', 'Name of the object, unique in its namespace');
export const ageColumn = column('Age', 'Time since it was created');

export function printer<T extends KubernetesObject>(
  columns: readonly TableColumn[],
  cells: (object: T, nowWallMs: number) => Cell[],
  conditions?: (object: T) => TableRow['conditions'],
): Printer {
  // Holds because printers are picked by the model that the objects have.
  return { columns, cells, conditions } as unknown as Printer;
}

export function nameOf(object: KubernetesObject): string {
  return object.metadata?.name ?? '';
}

export function objectAge(object: KubernetesObject, nowWallMs: number): string {
  return ageOf(object.metadata?.creationTimestamp, nowWallMs);
}
