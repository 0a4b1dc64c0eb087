/** An outbox over a database that is in the way: locked, full, or emptied when its time is over. */
import { assert, describe, it } from "@effect/vitest"
import * as Stores from "@breakwater/core/node/Stores"
import { Effect, Layer, Logger } from "effect"
import { SqlClient } from "effect/sql"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { folder } from "../store/support/Adapters.ts"
import { counts, recording } from "./support/Mails.ts"

const quiet = Logger.layer([])

const until = (mails: ReturnType<typeof recording>["mails"], state: string, count: number) =>
  counts(mails).pipe(
    Effect.delay("10 millis"),
    Effect.repeat({ until: (all) => all[state] === count }),
    Effect.timeout("30 seconds")
  )

describe("An outbox in SQLite", () => {
  it.live("waits while another program has locked the file, says so once, and does each command once", () =>
    Effect.gen(function* () {
      const filename = join(yield* folder, "stores.sqlite")
      const lines: Array<string> = []
      const logger = Logger.layer([Logger.make(({ message }) => void lines.push(String(message)))])
      const { mails, seen } = recording()
      yield* Effect.gen(function* () {
        yield* mails.add({ to: "ada" }, { key: "a" })
        const other = new DatabaseSync(filename)
        other.exec("BEGIN IMMEDIATE")
        const refused = yield* Effect.flip(mails.add({ to: "eve" }, { key: "b" }))
        yield* Effect.forkScoped(mails.run({ pollEvery: "20 millis" }))
        yield* Effect.sleep("500 millis")
        const whileLocked = [...lines]
        other.exec("COMMIT")
        other.close()
        yield* until(mails, "Done", 1)

        assert.strictEqual(refused.problem, "busy")
        assert.deepStrictEqual([whileLocked.length, seen.length], [1, 1])
        assert.match(whileLocked[0] ?? "", /^outbox mail: waits for its store: outbox store, claim: busy/u)
      }).pipe(Effect.scoped, Effect.provide([Stores.layerSqlite({ filename, busyTimeout: "1 millis" }), logger]))
    }).pipe(Effect.scoped)
  )

  it.live("says that the disk is full before anything is stored, and loses nothing of what was there", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { mails, seen } = recording()
      yield* sql`CREATE TABLE orders (id TEXT PRIMARY KEY)`
      yield* mails.add({ to: "ada" }, { key: "a" })
      const [pages] = yield* sql<{ page_count: number }>`PRAGMA page_count`
      yield* sql.unsafe(`PRAGMA max_page_count = ${pages?.page_count ?? 0}`)
      const order = sql.withTransaction(
        Effect.andThen(sql`INSERT INTO orders VALUES ('b')`, mails.add({ to: "x".repeat(100_000) }, { key: "b" }))
      )
      const full = yield* Effect.flip(order)
      const orders = yield* sql`SELECT * FROM orders`
      yield* sql.unsafe("PRAGMA max_page_count = 100000")
      yield* Effect.forkScoped(mails.run())
      yield* until(mails, "Done", 1)

      assert.deepStrictEqual(
        [full._tag === "StoreError" && full.problem, orders, seen.map(({ occasion }) => occasion.key)],
        ["full", [], ["a"]]
      )
    }).pipe(Effect.scoped, Effect.provide([Stores.layerSqlite({ filename: ":memory:" }), quiet]))
  )

  it.live("does not do again what is done as long as it remembers it, and only then", () =>
    Effect.gen(function* () {
      const { mails, seen } = recording()
      const added: Array<boolean> = []
      const add = Effect.tap(mails.add({ to: "ada" }, { key: "a" }), (isNew) => Effect.sync(() => added.push(isNew)))
      yield* add
      yield* Effect.forkScoped(mails.run({ pollEvery: "20 millis" }))
      yield* until(mails, "Done", 1)
      yield* add
      yield* Effect.sleep("100 millis")
      yield* Layer.build(Stores.layerPurge({ every: "1 second" }))
      yield* Effect.timeout(
        Effect.repeat(Effect.delay(mails.status("a"), "10 millis"), { until: (status) => status === undefined }),
        "30 seconds"
      )
      yield* add
      yield* until(mails, "Done", 1)

      assert.deepStrictEqual([added, seen.length], [[true, false, true], 2])
    }).pipe(
      Effect.scoped,
      Effect.provide([Stores.layerSqlite({ filename: ":memory:", outbox: { retentionMillis: 300 } }), quiet])
    )
  )
})
