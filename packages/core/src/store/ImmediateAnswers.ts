/**
 * Stores of answers that are read at once, without an effect: what a call finds in memory needs no step of its own. Known by the store itself, so that one that is wrapped is asked as any other. @internal
 */
import type { AnswerStore, StoredAnswer } from "./AnswerStore.ts"

/** Reads what is kept at the instant that it is told. @category models @since 0.1.0 */
export type Read = (key: string, version: number, now: number) => StoredAnswer | undefined

const known = new WeakMap<AnswerStore["Service"], Read>()

/** Says of a store that it can be read at once. @category constructors @since 0.1.0 */
export const add = (store: AnswerStore["Service"], read: Read): void => {
  known.set(store, read)
}

/** How to read a store at once; `undefined` for one that has to be waited for. @category accessors @since 0.1.0 */
export const of = (store: AnswerStore["Service"]): Read | undefined => known.get(store)
