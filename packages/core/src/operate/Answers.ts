/**
 * Answers that are kept, for an operator and for whoever hears that something has changed: makes them void by tag or by operation, over one connection or all that are open. @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { Connections } from "../store/Connections.ts"
import type { StoreError } from "../store/StoreError.ts"

/** What is meant: the answers with one of the tags, and those of the operation. @category models @since 0.1.0 */
export interface Target {
  /** Name of the provider, such as `stripe`. */
  readonly provider: string
  /** Default: every connection that is open in this process. */
  readonly connection?: string | undefined
  /** Answers that were kept with one of these. Default none. */
  readonly tags?: ReadonlyArray<string> | undefined
  /** All answers of an operation, `group.endpoint`. Default none. */
  readonly operation?: string | undefined
}

/**
 * Forgets kept answers, and says how many (CACHE-2). What is fetched just now was asked for before, and is not kept either. Fails with `StoreError` when the store cannot be reached: then they are there
 * still. **Example** `Answers.invalidate({ provider: "acme", tags: ["order/8731"] })`
 * @category operations @since 0.1.0
 */
export const invalidate = Effect.fnUntraced(function* (target: Target): Effect.fn.Return<number, StoreError> {
  const { connection, operation, provider, tags = [] } = target
  let count = 0
  for (const { answers } of yield* Connections) {
    if (answers?.provider !== provider || (connection !== undefined && answers.connection !== connection)) continue
    const operations = operation === undefined ? [] : [operation]
    count += yield* Effect.withFiber((fiber) => answers.invalidate(fiber, tags, operations))
  }
  return count
})
