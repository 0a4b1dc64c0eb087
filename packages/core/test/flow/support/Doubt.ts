/** Records in doubt, as calls leave them. */
import { IdempotencyStore } from "@breakwater/core"
import { scopeOf } from "@breakwater/core/IdempotencyRecord"
import { Effect } from "effect"

interface Id {
  readonly scope: string
  readonly key: string
}

export const inDoubt = Effect.fnUntraced(function* (operation: string, key: string, connection = "default") {
  const store = yield* IdempotencyStore.IdempotencyStore
  const scope = scopeOf({ operation, connection, environment: "sandbox" })
  const claim = { scope, key, fingerprint: "f", leaseMillis: 60_000, windowMillis: 0, sendsNow: true }
  const answer = yield* store.claim(claim)
  if (answer._tag !== "Granted") return yield* Effect.die(answer._tag)
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
