import { NodeRedis } from "@effect/platform-node"
import { PgClient } from "@effect/sql-pg"
import { assert, describe, it } from "@effect/vitest"
import { AnswerStore } from "@breakwater/core/AnswerStore"
import { IdempotencyStore } from "@breakwater/core/IdempotencyStore"
import { LeaseStore } from "@breakwater/core/LeaseStore"
import * as Stores from "@breakwater/core/node/Stores"
import { OutboxStore } from "@breakwater/core/OutboxStore"
import type { StoreError } from "@breakwater/core/StoreError"
import { Effect, Fiber, Layer, Logger, Redacted } from "effect"
import { SqlClient } from "effect/sql"
import { TestClock } from "effect/testing"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { inject } from "vitest"
import { folder, inPostgres, inRedis } from "./support/Adapters.ts"
import * as Proxy from "./support/Proxy.ts"

let count = 0
const request = () => ({ scope: "s", key: `k${++count}`, fingerprint: "f", leaseMillis: 60_000 })
const success = { _tag: "Succeeded", payload: { version: 1, value: "done" }, retentionMillis: 60_000 } as const
const command = (key: string) => ({ queue: "q", key, payload: { version: 1, value: key } })

const shown = ({ operation, problem, store }: StoreError) => `${store} ${operation}: ${problem}`

/** What every shared store says of one state of the server. */
const askAll = Effect.gen(function* () {
  const [idempotency, answers, leases] = [yield* IdempotencyStore, yield* AnswerStore, yield* LeaseStore]
  return [
    yield* Effect.flip(idempotency.claim(request())),
    yield* Effect.flip(answers.get("a", 1)),
    yield* Effect.flip(leases.acquire("n", 1000))
  ]
})

const all = (problem: string) => [
  `idempotency claim: ${problem}`,
  `answer get: ${problem}`,
  `lease acquire: ${problem}`
]

describe("Stores in SQLite, when something is wrong", () => {
  it.live("say of a file that somebody else writes that it is busy, and go on when he is done", () =>
    Effect.gen(function* () {
      const filename = join(yield* folder, "stores.sqlite")
      const layer = Stores.layerSqlite({ filename, busyTimeout: "1 millis" })
      yield* Effect.gen(function* () {
        const store = yield* IdempotencyStore
        const outbox = yield* OutboxStore
        const answer = yield* store.claim(request())
        assert(answer._tag === "Granted")
        const other = new DatabaseSync(filename)
        other.exec("BEGIN IMMEDIATE")
        const errors = [
          yield* Effect.flip(store.claim(request())),
          yield* Effect.flip(store.settle(answer.claim, success)),
          yield* Effect.flip(outbox.add([command("a")]))
        ]
        other.exec("COMMIT")
        other.close()

        assert.deepStrictEqual(
          errors.map((error) => (error._tag === "StoreError" ? shown(error) : error._tag)),
          ["idempotency claim: busy", "idempotency settle: busy", "outbox add: busy"]
        )
        yield* store.settle(answer.claim, success)
        assert.strictEqual(yield* outbox.add([command("a")]), 1)
      }).pipe(Effect.provide(layer))
    }).pipe(Effect.scoped)
  )

  it.live("say that the disk is full, lose nothing, and go on when there is room", () =>
    Effect.gen(function* () {
      const store = yield* IdempotencyStore
      const outbox = yield* OutboxStore
      const sql = yield* SqlClient.SqlClient
      const [of, kept] = [request(), request()]
      const [inFlight, settled] = [yield* store.claim(of), yield* store.claim(kept)]
      assert(inFlight._tag === "Granted" && settled._tag === "Granted")
      yield* store.settle(settled.claim, success)
      yield* outbox.add([command("first")])
      const [pages] = yield* sql<{ page_count: number }>`PRAGMA page_count`
      yield* sql.unsafe(`PRAGMA max_page_count = ${pages?.page_count ?? 0}`)
      const large = { version: 1, value: "x".repeat(100_000) }
      const errors = [
        yield* Effect.flip(store.settle(inFlight.claim, { ...success, payload: large })),
        yield* Effect.flip(outbox.add([command("second"), { ...command("third"), payload: large }]))
      ]
      const then = [yield* store.get(of), yield* store.claim(kept), yield* outbox.counts("q")] as const
      yield* sql.unsafe("PRAGMA max_page_count = 100000")
      yield* store.settle(inFlight.claim, { ...success, payload: large })

      assert.deepStrictEqual(
        errors.map((error) => (error._tag === "StoreError" ? shown(error) : error._tag)),
        ["idempotency settle: full", "outbox add: full"]
      )
      assert.deepStrictEqual([then[0]?.state, then[1]._tag, then[2].Ready], ["InFlight", "Settled", 1])
      assert.deepStrictEqual(yield* store.claim(of), { _tag: "Settled", state: "Succeeded", payload: large })
    }).pipe(Effect.provide(Stores.layerSqlite({ filename: ":memory:" })))
  )

  it.live("cannot be opened where there is no folder, or what is there is no database, and name the problem", () =>
    Effect.gen(function* () {
      const path = yield* folder
      writeFileSync(join(path, "text"), "this is no database, however long it is ".repeat(100))
      const open = (name: string) =>
        Effect.flip(Effect.scoped(Layer.build(Stores.layerSqlite({ filename: join(path, name) }))))
      const errors = [yield* open("none/stores.sqlite"), yield* open("text")]

      assert.deepStrictEqual(errors.map(shown), ["sql open: unavailable", "sql open: corrupt"])
    }).pipe(Effect.scoped)
  )

  it.effect("do not wait for ever for a transaction that holds the connection", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const store = yield* IdempotencyStore
      const holding = yield* Effect.forkChild(sql.withTransaction(Effect.never), { startImmediately: true })
      const claiming = yield* Effect.forkChild(Effect.flip(store.claim(request())), { startImmediately: true })
      yield* TestClock.adjust("4999 millis")
      const before = claiming.pollUnsafe()
      yield* TestClock.adjust("1 millis")
      const error = yield* Fiber.join(claiming)
      yield* Fiber.interrupt(holding)

      assert.strictEqual(before, undefined)
      assert.strictEqual(error.message, "idempotency store, claim: timeout: no answer within 5s")
      assert.strictEqual((yield* store.claim(request()))._tag, "Granted")
    }).pipe(Effect.provide(Stores.layerSqlite({ filename: ":memory:" })))
  )

  it.live("refuse to remember within a transaction that could forget it", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient

      assert.deepStrictEqual((yield* sql.withTransaction(askAll)).map(shown), all("in transaction"))
    }).pipe(Effect.provide(Stores.layerSqlite({ filename: ":memory:" })))
  )
})

describe("Rows that somebody else wrote", () => {
  it.live("of a newer version are left as they are, and said to be so", () =>
    Effect.gen(function* () {
      const store = yield* IdempotencyStore
      const outbox = yield* OutboxStore
      const sql = yield* SqlClient.SqlClient
      const of = request()
      const answer = yield* store.claim(of)
      assert(answer._tag === "Granted")
      yield* outbox.add([command("a"), command("b")])
      yield* sql`UPDATE breakwater_idempotency SET state = 'Suspended'`
      yield* sql`UPDATE breakwater_outbox SET state = 'Suspended' WHERE key = 'a'`
      const rows = sql`SELECT * FROM breakwater_idempotency`
      const before = yield* rows
      const errors = [
        yield* Effect.flip(store.claim(of)),
        yield* Effect.flip(store.settle(answer.claim, success)),
        yield* Effect.flip(store.get(of))
      ]
      const batch = yield* outbox.claim({ queue: "q", limit: 10, leaseMillis: 1000 })

      for (const error of errors) {
        assert(error._tag === "StoreError")
        assert.deepStrictEqual([error.problem, error.detail], ["newer", `the state "Suspended" is not known`])
      }
      assert.deepStrictEqual(yield* rows, before)
      assert.deepStrictEqual(
        batch.map(({ key }) => key),
        ["b"]
      )
      assert.isEmpty(yield* outbox.list({ queue: "q", states: ["Ready"], limit: 10 }))
    }).pipe(Effect.provide(Stores.layerSqlite({ filename: ":memory:" })))
  )

  it.live("that cannot be read are said to be corrupt, and are not run again", () =>
    Effect.gen(function* () {
      const store = yield* IdempotencyStore
      const sql = yield* SqlClient.SqlClient
      const of = request()
      const answer = yield* store.claim(of)
      assert(answer._tag === "Granted")
      yield* store.settle(answer.claim, success)
      const broken = [
        sql`UPDATE breakwater_idempotency SET payload = '{"half'`,
        sql`UPDATE breakwater_idempotency SET payload = NULL`,
        sql`UPDATE breakwater_idempotency SET payload = '1', payload_version = NULL`
      ]
      for (const change of broken) {
        yield* change
        assert.strictEqual((yield* Effect.flip(store.claim(of))).problem, "corrupt")
      }
    }).pipe(Effect.provide(Stores.layerSqlite({ filename: ":memory:" })))
  )

  it.live("do not hold up the outbox: a command that cannot be read is put away as it is", () =>
    Effect.gen(function* () {
      const outbox = yield* OutboxStore
      const sql = yield* SqlClient.SqlClient
      yield* outbox.add([command("a"), command("b")])
      yield* sql`UPDATE breakwater_outbox SET payload = '{"half' WHERE key = 'a'`
      const batch = yield* outbox.claim({ queue: "q", limit: 10, leaseMillis: 1000 })
      const [row] = yield* sql<{ state: string; payload: string; note: string }>`
        SELECT state, payload, note FROM breakwater_outbox WHERE key = 'a'`

      assert.deepStrictEqual(
        batch.map(({ key }) => key),
        ["b"]
      )
      assert.deepStrictEqual({ ...row }, { state: "Dead", payload: '{"half', note: "the payload is not JSON" })
    }).pipe(Effect.provide(Stores.layerSqlite({ filename: ":memory:" })))
  )
})

const transactional = Effect.gen(function* () {
  const outbox = yield* OutboxStore
  const sql = yield* SqlClient.SqlClient
  const table = `orders_${process.pid}`
  yield* sql.unsafe(`CREATE TABLE ${table} (id text)`)
  yield* Effect.addFinalizer(() => Effect.ignore(sql.unsafe(`DROP TABLE ${table}`)))
  const order = (id: string) =>
    Effect.andThen(sql.unsafe(`INSERT INTO ${table} VALUES ('${id}')`), outbox.add([command(id)]))
  yield* sql.withTransaction(order("kept"))
  yield* Effect.flip(sql.withTransaction(Effect.andThen(order("rolled back"), Effect.fail("declined"))))
  const claimed = yield* outbox.claim({ queue: "q", limit: 10, leaseMillis: 60_000 })
  return claimed.map(({ key }) => key)
})

describe("OutboxStore.add in a transaction", () => {
  it.live("is there exactly if the transaction is, in SQLite", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* transactional, ["kept"])
    }).pipe(Effect.scoped, Effect.provide(Stores.layerSqlite({ filename: ":memory:" })))
  )

  it.live.skipIf(!inject("postgres"))("is there exactly if the transaction is, in PostgreSQL", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* transactional, ["kept"])
    }).pipe(Effect.scoped, Effect.provide(inPostgres(`t_tx_${process.pid}`)))
  )
})

describe.skipIf(!inject("postgres"))("Stores in PostgreSQL, when something is wrong", () => {
  it.live("remember what was claimed in a transaction that is rolled back", () =>
    Effect.gen(function* () {
      const store = yield* IdempotencyStore
      const sql = yield* SqlClient.SqlClient
      const of = request()
      yield* Effect.flip(sql.withTransaction(Effect.andThen(store.claim(of), Effect.fail("rolled back"))))

      assert.strictEqual((yield* store.claim(of))._tag, "Locked")
    }).pipe(Effect.provide(inPostgres(`t_rollback_${process.pid}`)))
  )

  it.live(
    "say in time that it is silent, that it is gone, and go on when it is back, without a word of the password",
    () =>
      Effect.gen(function* () {
        const proxy = yield* Proxy.make(5432)
        const prefix = `t_outage_${process.pid}`
        const client = PgClient.layer({
          host: "127.0.0.1",
          port: proxy.port,
          username: "postgres",
          database: "test",
          password: Redacted.make("hunter2hunter2"),
          maxConnections: 2,
          connectTimeout: "200 millis"
        })
        yield* Layer.build(inPostgres(prefix))
        yield* Effect.gen(function* () {
          yield* proxy.silence
          const silent = yield* askAll
          yield* proxy.cut
          yield* proxy.speak
          const gone = yield* askAll
          yield* proxy.restore
          const store = yield* IdempotencyStore

          assert.strictEqual(silent[0]?.message, "idempotency store, claim: timeout: no answer within 500ms")
          for (const error of [...silent, ...gone]) assert.isTrue(error.isRetryable, error.message)
          assert.notInclude(JSON.stringify([...silent, ...gone]), "hunter2")
          assert.strictEqual((yield* Effect.retry(store.claim(request()), { times: 5 }))._tag, "Granted")
        }).pipe(Effect.provide(Stores.layerPostgres({ prefix, timeout: "500 millis" }).pipe(Layer.provide(client))))
      }).pipe(Effect.scoped)
  )

  it.live("cannot be made where nobody answers", () =>
    Effect.gen(function* () {
      const client = PgClient.layer({ host: "127.0.0.1", port: 1, username: "postgres", connectTimeout: "200 millis" })
      const error = yield* Effect.flip(Effect.scoped(Layer.build(Stores.layerPostgres().pipe(Layer.provide(client)))))

      assert.strictEqual(error.message, "sql store, migrate: unavailable: connect ECONNREFUSED 127.0.0.1:1")
    })
  )
})

describe.skipIf(!inject("redis"))("Stores in Redis, when something is wrong", () => {
  it.live("say in time that it is silent, that it is gone, and go on when it is back", () =>
    Effect.gen(function* () {
      const proxy = yield* Proxy.make(6379)
      const prefix = `t_outage_${process.pid}`
      const layer = Stores.layerRedis({ prefix, timeout: "300 millis" }).pipe(
        Layer.provide(NodeRedis.layer({ url: `redis://127.0.0.1:${proxy.port}` })),
        Layer.provide(Logger.layer([]))
      )
      yield* Layer.build(inRedis(prefix))
      yield* Effect.gen(function* () {
        const leases = yield* LeaseStore
        yield* leases.acquire("warm", 1)
        yield* proxy.silence
        const silent = yield* askAll
        yield* proxy.cut
        yield* proxy.speak
        const gone = yield* askAll
        yield* proxy.restore
        const store = yield* IdempotencyStore

        assert.deepStrictEqual(silent.map(shown), all("timeout"))
        for (const error of gone) assert.isTrue(error.isRetryable, error.message)
        assert.strictEqual((yield* Effect.retry(store.claim(request()), { times: 20 }))._tag, "Granted")
      }).pipe(Effect.provide(layer))
    }).pipe(Effect.scoped)
  )
})
