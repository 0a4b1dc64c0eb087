/** Tags of answers outlived them: in SQL a purge took one for each answer though an answer may have many, in Redis a tag kept the keys of all answers that ever had it. */
import { assert, describe, it } from "@effect/vitest"
import { AnswerStore } from "@breakwater/core/AnswerStore"
import * as Stores from "@breakwater/core/node/Stores"
import { Effect } from "effect"
import { Redis } from "effect/persistence"
import { SqlClient } from "effect/sql"
import { inject } from "vitest"
import { inRedis } from "../store/support/Adapters.ts"

const answer = (keepMillis: number, tags: ReadonlyArray<string>) => ({
  payload: { version: 1, value: 1 },
  keepMillis,
  tags
})

describe("tags of answers that are over", () => {
  it.live("go with them in SQL, however many an answer has", () =>
    Effect.gen(function* () {
      const store = yield* AnswerStore
      const sql = yield* SqlClient.SqlClient
      for (let each = 0; each < 20; each++) yield* store.set(`k${each}`, answer(1, ["a", "b", `c${each}`, "d"]))
      yield* Effect.sleep("5 millis")
      const forgotten = [yield* store.purge(10), yield* store.purge(10), yield* store.purge(10)]

      assert.deepStrictEqual(forgotten, [10, 10, 0])
      assert.deepStrictEqual(yield* sql`SELECT * FROM breakwater_answer_tag`, [])
    }).pipe(Effect.provide(Stores.layerSqlite({ filename: ":memory:" })))
  )

  const prefix = `t_tags_${process.pid}`
  it.live.skipIf(!inject("redis"))("go with them in Redis", () =>
    Effect.gen(function* () {
      const store = yield* AnswerStore
      const redis = yield* Redis.Redis
      yield* store.set("first", answer(60_000, ["a"]))
      for (let each = 0; each < 20; each++) yield* store.set(`k${each}`, answer(1, ["a"]))
      yield* Effect.sleep("20 millis")
      yield* store.set("last", answer(60_000, ["a"]))
      const type = yield* redis.send<string>("TYPE", `${prefix}:answer-tag:a`)
      const kept = yield* redis.send<number>(type === "set" ? "SCARD" : "ZCARD", `${prefix}:answer-tag:a`)

      assert.strictEqual(kept, 2)
      assert.strictEqual(yield* store.invalidate("a"), 2)
    }).pipe(Effect.provide(inRedis(prefix)))
  )
})
