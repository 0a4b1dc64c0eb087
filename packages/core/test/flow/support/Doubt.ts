/** Records in doubt, as calls leave them. */
import { IdempotencyStore } from "@breakwater/core"
import { scopeOf } from "@breakwater/core/IdempotencyRecord"
import { type Duration, Effect } from "effect"
import { TestClock } from "effect/testing"

interface Id {
  readonly scope: string
  readonly key: string
}

interface Options {
  /** Default `default`. */
  readonly connection?: string
  /** From its first request to its end. Default 0. */
  readonly after?: Duration.Input
}

export const inDoubt = Effect.fnUntraced(function* (operation: string, key: string, options: Options = {}) {
  const store = yield* IdempotencyStore.IdempotencyStore
  const scope = scopeOf({ operation, connection: options.connection ?? "default", environment: "sandbox" })
  const claim = { scope, key, fingerprint: "f", leaseMillis: 600_000, windowMillis: 0, sendsNow: true }
  const answer = yield* store.claim(claim)
  if (answer._tag !== "Granted") return yield* Effect.die(answer._tag)
  yield* TestClock.adjust(options.after ?? 0)
  yield* store.settle(answer.claim, { _tag: "Unknown" })
  return { scope, key }
})

/** What is stored: the state, and the payload. */
export const stored = Effect.fnUntraced(function* (id: Id) {
  const store = yield* IdempotencyStore.IdempotencyStore
  const row = yield* store.get(id)
  return [row?.state, row?.payload === undefined ? undefined : (JSON.parse(row.payload.json) as unknown)]
})

export const withStore = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.provideService(effect, IdempotencyStore.IdempotencyStore, IdempotencyStore.memory())
