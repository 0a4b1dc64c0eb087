import { assert, describe, it } from "@effect/vitest"
import type { Answer } from "@breakwater/core/AnswerStore"
import { AnswerStore } from "@breakwater/core/AnswerStore"
import * as Stores from "@breakwater/core/node/Stores"
import { Effect, Layer } from "effect"
import { Redis } from "effect/persistence"
import { SqlClient } from "effect/sql"
import { TestClock } from "effect/testing"
import { inject } from "vitest"
import { inRedis, shared } from "./support/Adapters.ts"

let count = 0
const keyName = () => `geocode:Berlin:${++count}`

const answer = (value: unknown, options?: Partial<Answer>): Answer => ({
  payload: { version: 2, value },
  keepMillis: 60_000,
  ...options
})
const valueOf = (key: string) =>
  Effect.map(
    Effect.flatMap(AnswerStore, (store) => store.get(key, 2)),
    (found) => found?.payload.value
  )

for (const { layer, name, skip } of shared("answer", { answers: { maxEntryBytes: 1000 } })) {
  describe.skipIf(skip)(`AnswerStore in ${name}`, () => {
    it.layer(layer, { excludeTestServices: true })((it) => {
      it.effect("gives back what it keeps, with its age", () =>
        Effect.gen(function* () {
          const store = yield* AnswerStore
          const key = keyName()
          const value = { lat: 52.5, lines: ["a\nb", "☃", null] }
          const before = yield* store.get(key, 2)
          yield* store.set(key, answer(value))
          const found = yield* store.get(key, 2)

          assert.strictEqual(before, undefined)
          assert.deepStrictEqual(found?.payload, { version: 2, value })
          assert.isAtLeast(found?.ageMillis ?? -1, 0)
          assert.isBelow(found?.ageMillis ?? 0, 60_000)
        })
      )

      it.effect("keeps null, which is an answer", () =>
        Effect.gen(function* () {
          const store = yield* AnswerStore
          const key = keyName()
          yield* store.set(key, answer(null))

          assert.deepStrictEqual((yield* store.get(key, 2))?.payload, { version: 2, value: null })
        })
      )

      it.effect("replaces, deletes and lets go in time", () =>
        Effect.gen(function* () {
          const store = yield* AnswerStore
          const [key, other] = [keyName(), keyName()]
          yield* store.set(key, answer("one"))
          yield* store.set(key, answer("two"))
          const replaced = yield* valueOf(key)
          yield* store.delete(key)
          yield* store.delete(key)
          yield* store.set(other, answer("short", { keepMillis: 0 }))
          yield* Effect.sleep("2 millis")

          assert.deepStrictEqual([replaced, yield* valueOf(key), yield* valueOf(other)], ["two", undefined, undefined])
        })
      )

      it.effect("takes what another version wrote for nothing, and leaves it there", () =>
        Effect.gen(function* () {
          const store = yield* AnswerStore
          const key = keyName()
          yield* store.set(key, answer("two"))

          assert.strictEqual(yield* store.get(key, 3), undefined)
          assert.strictEqual(yield* valueOf(key), "two")
        })
      )

      it.effect("lets go of all that have a tag, and says how many", () =>
        Effect.gen(function* () {
          const store = yield* AnswerStore
          const [a, b, c, d] = [keyName(), keyName(), keyName(), keyName()]
          const [city, country] = [`city ${count}`, `country ${count}`]
          yield* store.set(a, answer("a", { tags: [city, country, city] }))
          yield* store.set(b, answer("b", { tags: [city] }))
          yield* store.set(c, answer("c", { tags: [country] }))
          yield* store.set(d, answer("d"))
          const cities = yield* store.invalidate(city)
          const again = yield* store.invalidate(city)
          const left = [yield* valueOf(a), yield* valueOf(b), yield* valueOf(c), yield* valueOf(d)]

          assert.deepStrictEqual([cities, again, left], [2, 0, [undefined, undefined, "c", "d"]])
          assert.strictEqual(yield* store.invalidate(country), 1)
          assert.strictEqual(yield* valueOf(c), undefined)
        })
      )

      it.effect("refuses what cannot be kept, and keeps what was there", () =>
        Effect.gen(function* () {
          const store = yield* AnswerStore
          const key = keyName()
          yield* store.set(key, answer("fine"))
          const errors = [
            yield* Effect.flip(store.set("", answer(1))),
            yield* Effect.flip(store.set("a\nb", answer(1))),
            yield* Effect.flip(store.set(key, answer(1n))),
            yield* Effect.flip(store.set(key, answer("x".repeat(1000)))),
            yield* Effect.flip(store.set(key, answer(1, { tags: ["a\u0000"] }))),
            yield* Effect.flip(
              store.set(key, answer(1, { tags: Array.from({ length: 17 }, (_, index) => `${index}`) }))
            )
          ]

          assert.deepStrictEqual(
            errors.map(({ problem, store }) => [store, problem]),
            errors.map(() => ["answer", "invalid"])
          )
          assert.strictEqual(yield* valueOf(key), "fine")
        })
      )
    })
  })
}

describe("AnswerStore.layerMemory", () => {
  it.effect("lets go at the very millisecond, and of the least recently used beyond its capacity", () =>
    Effect.gen(function* () {
      const store = yield* AnswerStore
      for (const key of ["a", "b", "c"]) yield* store.set(key, answer(key, { keepMillis: 1000, tags: ["t"] }))
      yield* store.get("a", 2)
      yield* store.set("d", answer("d", { keepMillis: 2000 }))
      const beyond = yield* valueOf("b")
      yield* TestClock.adjust(999)
      const justBefore = yield* store.get("a", 2)
      yield* TestClock.adjust(1)

      assert.deepStrictEqual([beyond, justBefore?.ageMillis, yield* valueOf("a")], [undefined, 999, undefined])
      assert.deepStrictEqual([yield* store.purge(10), yield* store.invalidate("t")], [1, 0])
      assert.strictEqual(yield* valueOf("d"), "d")
    }).pipe(Effect.provide(AnswerStore.layerMemory({ capacity: 3 })))
  )

  it("refuses to keep nothing", () => {
    assert.throws(
      () => Effect.runSync(Layer.build(AnswerStore.layerMemory({ capacity: 0 })).pipe(Effect.scoped)),
      RangeError
    )
  })
})

describe("AnswerStore in SQL", () => {
  it.effect("forgets what is over, then the oldest beyond its capacity, and tags of what is gone", () =>
    Effect.gen(function* () {
      const store = yield* AnswerStore
      const sql = yield* SqlClient.SqlClient
      yield* store.set("over", answer(1, { keepMillis: 10, tags: ["t"] }))
      yield* TestClock.adjust(10)
      for (const key of ["a", "b", "c", "d"]) {
        yield* store.set(key, answer(key, { tags: ["t"] }))
        yield* TestClock.adjust(1)
      }
      const before = yield* valueOf("over")
      const gone = yield* store.purge(100)
      const left = yield* sql<{ key: string }>`SELECT key FROM breakwater_answer ORDER BY key`
      const tags = yield* sql<{ key: string }>`SELECT key FROM breakwater_answer_tag ORDER BY key`

      assert.deepStrictEqual([before, gone], [undefined, 3])
      assert.deepStrictEqual(
        [left.map(({ key }) => key), tags.map(({ key }) => key)],
        [
          ["c", "d"],
          ["c", "d"]
        ]
      )
    }).pipe(Effect.provide(Stores.layerSqlite({ filename: ":memory:", answers: { capacity: 2 } })))
  )

  it.effect("takes a corrupt entry for nothing", () =>
    Effect.gen(function* () {
      const store = yield* AnswerStore
      const sql = yield* SqlClient.SqlClient
      yield* store.set("a", answer("a"))
      yield* sql`UPDATE breakwater_answer SET payload = '{"half'`
      const corrupt = yield* store.get("a", 2)
      yield* store.set("a", answer("whole"))

      assert.deepStrictEqual([corrupt, yield* valueOf("a")], [undefined, "whole"])
    }).pipe(Effect.provide(Stores.layerSqlite({ filename: ":memory:" })))
  )
})

describe.skipIf(!inject("redis"))("AnswerStore in Redis", () => {
  const prefix = `t_answers_${process.pid}`
  it.live("takes a corrupt entry for nothing, and says so of a key of another kind", () =>
    Effect.gen(function* () {
      const store = yield* AnswerStore
      const redis = yield* Redis.Redis
      for (const broken of ["", "2\n", "2\n17\n{", "2\nx\n1", "{}"]) {
        yield* redis.send("SET", `${prefix}:answer:a`, broken)
        assert.strictEqual(yield* store.get("a", 2), undefined)
      }
      yield* redis.send("SADD", `${prefix}:answer:b`, "x")
      const error = yield* Effect.flip(store.get("b", 2))

      assert.strictEqual(error.problem, "corrupt")
    }).pipe(Effect.provide(inRedis(prefix)))
  )
})
