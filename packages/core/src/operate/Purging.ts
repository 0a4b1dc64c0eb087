/** Forgets what the stores need no longer, now and then. @internal */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import { AnswerStore } from "../store/AnswerStore.ts"
import { IdempotencyStore } from "../store/IdempotencyStore.ts"
import { OutboxStore } from "../store/OutboxStore.ts"
import type { StoreError } from "../store/StoreError.ts"
import { field } from "../vocabulary/Telemetry.ts"

/** @category models @since 0.1.0 */
export interface PurgeOptions {
  /** How often. The first time is at a random moment of the first such span, so that processes that start together do not purge together. From 1 s. Default `"1 hour"`. */
  readonly every?: Duration.Input | undefined
  /** Rows that one statement forgets, at least 1; there are as many statements as it takes, at most 1,000. Default 1,000. */
  readonly limit?: number | undefined
}

/** The values used when an option is left out. */
const purgeDefaults = { every: "1 hour", limit: 1000 } as const satisfies PurgeOptions

/** Statements for one store at one time. What is left over waits for the next time. */
const maxRounds = 1000

type Purge = (limit: number) => Effect.Effect<number, StoreError>

const purgeAll = Effect.fnUntraced(function* (purge: Purge, limit: number) {
  for (let round = 0; round < maxRounds; round++) if ((yield* purge(limit)) < limit) return
})

/** A store that is down is purged the next time. */
const told = (store: string, purging: Effect.Effect<void, StoreError>): Effect.Effect<void> =>
  Effect.catch(purging, (error) =>
    Effect.annotateLogs(Effect.logWarning(`purge of the ${store} store failed: ${error.message}`), {
      [field.event]: "purge failed",
      [field.errorMessage]: error.message
    })
  )

/** Throws a `RangeError` for an option out of range. @category layers @since 0.1.0 */
export const layerPurge = (
  options?: PurgeOptions
): Layer.Layer<never, never, IdempotencyStore | AnswerStore | OutboxStore> => {
  const every = Duration.toMillis(Duration.fromInputUnsafe(options?.every ?? purgeDefaults.every))
  const limit = options?.limit ?? purgeDefaults.limit
  if (!(Number.isFinite(every) && every >= 1000))
    throw new RangeError(`Stores.layerPurge: every must be at least 1 s and finite, got ${every} ms`)
  if (!(Number.isSafeInteger(limit) && limit >= 1))
    throw new RangeError(`Stores.layerPurge: limit must be a whole number of at least 1, got ${limit}`)
  const purging = Effect.gen(function* () {
    const idempotency = yield* IdempotencyStore
    const answers = yield* AnswerStore
    const outbox = yield* OutboxStore
    yield* Effect.sleep(every * (yield* Random.next))
    for (;;) {
      yield* told("idempotency", purgeAll(idempotency.purge, limit))
      yield* told("answer", purgeAll(answers.purge, limit))
      yield* told("outbox", purgeAll(outbox.purge, limit))
      yield* Effect.sleep(every)
    }
  })
  return Layer.effectDiscard(Effect.forkScoped(purging))
}
