/**
 * `T`, writable all through. Decoding makes objects that nobody else holds; defaulting and admission then fill them in
 * place. Objects from a store or a cache are never drafts.
 */
export type Draft<T> = T extends readonly (infer E)[]
  ? Draft<E>[]
  : T extends object
    ? { -readonly [K in keyof T]: Draft<T[K]> }
    : T;
