import { assert, describe, it } from "@effect/vitest"
import { AnswerStore } from "@breakwater/core/AnswerStore"
import { IdempotencyStore } from "@breakwater/core/IdempotencyStore"
import { OutboxStore } from "@breakwater/core/OutboxStore"
import * as Stores from "@breakwater/core/Stores"
import { make as storeError } from "@breakwater/core/StoreError"
import { Effect, Layer, Logger } from "effect"
import { TestClock } from "effect/testing"

/** Stores that have so many rows to forget, and how often they were asked. */
const counting = (rows: number, outage: { isDown: boolean } = { isDown: false }) => {
  const asked: Array<string> = []
  const left = { idempotency: rows, answer: rows, outbox: rows }
  const purge = (store: keyof typeof left) => (limit: number) =>
    Effect.suspend(() => {
      asked.push(store)
      if (outage.isDown && store === "answer")
        return Effect.fail(storeError({ store, operation: "purge" }, "unavailable"))
      const count = Math.min(limit, left[store])
      left[store] -= count
      return Effect.succeed(count)
    })
  const layer = Layer.effectContext(
    Effect.map(Effect.all([IdempotencyStore, AnswerStore, OutboxStore]), ([idempotency, answers, outbox]) =>
      Layer.succeed(IdempotencyStore, { ...idempotency, purge: purge("idempotency") }).pipe(
        Layer.merge(Layer.succeed(AnswerStore, { ...answers, purge: purge("answer") })),
        Layer.merge(Layer.succeed(OutboxStore, { ...outbox, purge: purge("outbox") }))
      )
    ).pipe(Effect.flatMap(Layer.build))
  ).pipe(Layer.provide(Stores.layerMemory()))
  return { asked, layer, left }
}

describe("Stores.layerPurge", () => {
  it.effect("forgets all that is over within an hour, and again each hour", () =>
    Effect.gen(function* () {
      const { asked, layer, left } = counting(250)
      yield* Layer.build(Layer.provide(Stores.layerPurge({ limit: 100 }), layer))
      const atOnce = [...asked]
      yield* TestClock.adjust("1 hour")
      const first = { ...left, asked: asked.length }
      yield* TestClock.adjust("1 hour")

      assert.deepStrictEqual(atOnce, [])
      assert.deepStrictEqual(first, { idempotency: 0, answer: 0, outbox: 0, asked: 9 })
      assert.strictEqual(asked.length, 12)
    }).pipe(Effect.scoped)
  )

  it.effect("says which store is down, goes on with the others, and comes back to it", () => {
    const lines: Array<string> = []
    const logger = Logger.layer([
      Logger.make(({ logLevel, message }) => void lines.push(`${logLevel} ${String(message)}`))
    ])
    return Effect.gen(function* () {
      const outage = { isDown: true }
      const { layer, left } = counting(10, outage)
      yield* Layer.build(Layer.provide(Stores.layerPurge({ every: "10 seconds" }), layer))
      yield* TestClock.adjust("10 seconds")
      const down = { ...left }
      outage.isDown = false
      yield* TestClock.adjust("10 seconds")

      assert.deepStrictEqual(
        [down, left],
        [
          { idempotency: 0, answer: 10, outbox: 0 },
          { idempotency: 0, answer: 0, outbox: 0 }
        ]
      )
      assert.deepStrictEqual(lines, ["Warn purge of the answer store failed: answer store, purge: unavailable"])
    }).pipe(Effect.scoped, Effect.provide(logger))
  })

  it("refuses options out of range by name", () => {
    assert.throws(
      () => Stores.layerPurge({ every: "1 millis" }),
      "Stores.layerPurge: every must be at least 1 s and finite, got 1 ms"
    )
    assert.throws(
      () => Stores.layerPurge({ limit: 0 }),
      "Stores.layerPurge: limit must be a whole number of at least 1, got 0"
    )
  })
})
