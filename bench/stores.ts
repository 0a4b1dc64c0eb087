/**
 * What the stores cost: records made (claim, settle) and replayed per second on each of them, what a record in memory adds to a call, and commands through the outbox. Servers that do not
 * answer are left out; `--memory` measures that alone. CPU microseconds where the store is in this process, wall clock where it waits for a disk or a server. Nothing here is an assertion.
 */
import * as Client from "@breakwater/core/Client"
import * as Idempotency from "@breakwater/core/Idempotency"
import * as Provider from "@breakwater/core/Provider"
import * as Safety from "@breakwater/core/Safety"
import * as Auth from "@breakwater/core/Auth"
import { NodeRedis } from "@effect/platform-node"
import { PgClient } from "@effect/sql-pg"
import * as Fingerprint from "@breakwater/core/Fingerprint"
import { IdempotencyStore, memory } from "@breakwater/core/IdempotencyStore"
import * as Stores from "@breakwater/core/node/Stores"
import { OutboxStore } from "@breakwater/core/OutboxStore"
import * as Outbox from "@breakwater/core/Outbox"
import { Context, Duration, Effect, Fiber, Latch, Layer, Logger, Redacted, Schema } from "effect"
import { HttpClient, HttpServerResponse } from "effect/http"
import { HttpApi, HttpApiEndpoint, HttpApiGroup } from "effect/http-api"
import { Redis } from "effect/persistence"
import { SqlClient } from "effect/sql"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

const rounds = 5
const median = (values: ReadonlyArray<number>): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0

/** Median of so many rounds, after one to warm up. */
const measured = <E, R>(round: Effect.Effect<number, E, R>) =>
  Effect.map(
    Effect.forEach(Array.from({ length: rounds + 1 }), () => round),
    (figures) => median(figures.slice(1))
  )

/** CPU microseconds of one of `count`. */
const cpuOf = <A, E, R>(count: number, effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const before = process.cpuUsage()
    yield* effect
    const { system, user } = process.cpuUsage(before)
    return (system + user) / count
  })

/** How many of `count` there are in a second. */
const rateOf = <A, E, R>(count: number, effect: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.timed(effect), ([spent]) => (count / Duration.toMillis(spent)) * 1000)

const body = new TextEncoder().encode("amount=4200&currency=eur&confirm=true&payment_method=pm_card_visa")
const value = { id: "pi_3", object: "payment_intent", amount: 4200, currency: "eur", status: "succeeded" }
let last = 0

const record = (key: string) =>
  Effect.gen(function* () {
    const store = yield* IdempotencyStore
    const fingerprint = Fingerprint.of({ method: "POST", path: "/v1/payment_intents", body })
    const answer = yield* store.claim({
      scope: "stripe.charge@live",
      key,
      fingerprint,
      leaseMillis: 60_000,
      sendsNow: true
    })
    if (answer._tag !== "Granted") return
    yield* store.settle(answer.claim, {
      _tag: "Succeeded",
      payload: { version: 1, value },
      retentionMillis: 86_400_000
    })
  })

const many = (count: number, concurrency: number, key: () => string) =>
  Effect.forEach(
    Array.from({ length: count }, key),
    (key) => Effect.provideService(record(key), IdempotencyStore, current),
    {
      concurrency,
      discard: true
    }
  )
let current: IdempotencyStore["Service"]

const fresh = () => `order/${++last}`

const records = (name: string, count: number, concurrency: number) =>
  Effect.gen(function* () {
    current = yield* IdempotencyStore
    const made = yield* measured(rateOf(count, many(count, concurrency, fresh)))
    const replayed = yield* measured(
      Effect.suspend(() => {
        let each = last - count
        return rateOf(
          count,
          many(count, concurrency, () => `order/${++each}`)
        )
      })
    )
    return `${name}: ${made.toFixed(0)} records/s, ${replayed.toFixed(0)} replays/s, ${concurrency} at once`
  })

const inMemory = Effect.gen(function* () {
  current = yield* IdempotencyStore
  const count = 20_000
  const nothing = Effect.forEach(Array.from({ length: count }, fresh), () => Effect.void, { discard: true })
  const empty = yield* measured(cpuOf(count, nothing))
  const made = yield* measured(cpuOf(count, many(count, 1, fresh)))
  const hashed = yield* measured(
    cpuOf(
      count,
      Effect.sync(() => {
        for (let each = 0; each < count; each++) Fingerprint.of({ method: "POST", path: "/v1/payment_intents", body })
      })
    )
  )
  return `in memory: a record costs ${(made - empty).toFixed(1)} µs of CPU, of which its fingerprint ${hashed.toFixed(1)} µs`
})

const Payment = Schema.Struct({
  id: Schema.String,
  object: Schema.String,
  amount: Schema.Int,
  currency: Schema.String,
  status: Schema.String
})
const payer = Provider.make("payer", {
  api: HttpApi.make("payer").add(
    HttpApiGroup.make("payments").add(
      HttpApiEndpoint.post("create", "/v1/payment_intents", {
        payload: Schema.Struct({ amount: Schema.Int, currency: Schema.String, payment_method: Schema.String }),
        success: Payment
      }).pipe(Safety.keyed({ header: "Idempotency-Key", window: "24 hours" }))
    )
  ),
  environments: { sandbox: "https://sandbox.payer.test", production: "https://api.payer.test" },
  auth: Auth.bearer()
})
class Payer extends Context.Service<Payer, Client.Of<typeof payer>>()("bench/Payer") {}

/** Answers at once. */
const answering = Layer.succeed(
  HttpClient.HttpClient,
  HttpClient.make((request) =>
    Effect.succeed(HttpServerResponse.toClientResponse(HttpServerResponse.jsonUnsafe(value), { request }))
  )
)
const quiet = Logger.layer([])

const payments = (count: number, key: () => string) =>
  Effect.gen(function* () {
    const { payments } = yield* Payer
    const payload = { amount: 4200, currency: "eur", payment_method: "pm_card_visa" }
    for (let each = 0; each < count; each++) yield* payments.create({ payload }).pipe(Idempotency.withKey(key()))
  })

/** A call with a key, without a record and with one, and one whose outcome is there. */
const ofCall = Effect.gen(function* () {
  const count = 10_000
  current = memory()
  const remembered = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.provideService(effect, IdempotencyStore, current)
  const replays = Effect.suspend(() => {
    let each = last - count
    return remembered(payments(count, () => `order/${++each}`))
  })
  // One after the other in each round, so that what else runs on the machine falls on all of them.
  const round = Effect.all([
    cpuOf(count, payments(count, fresh)),
    cpuOf(count, remembered(payments(count, fresh))),
    cpuOf(count, replays)
  ])
  yield* Effect.replicateEffect(round, 2)
  const figures = yield* Effect.replicateEffect(round, 9)
  const without = median(figures.map(([each]) => each))
  const added = median(figures.map(([each, recorded]) => recorded - each))
  const replayed = median(figures.map(([, , each]) => each))
  return `in memory: a record adds ${added.toFixed(1)} µs of CPU to a call of ${without.toFixed(1)} µs; a replay takes ${replayed.toFixed(1)} µs`
}).pipe(
  Effect.provide(
    Client.layer(Payer, payer, { credential: Redacted.make("key-of-a-bench") }).pipe(Layer.provide([answering, quiet]))
  )
)

const outboxThroughput = (name: string, batch: number) =>
  Effect.gen(function* () {
    const outbox = yield* OutboxStore
    const count = 2000
    const commands = () =>
      Array.from({ length: batch }, () => {
        const key = fresh()
        return { queue: "bench", key, orderingKey: key, payload: { version: 1, value } }
      })
    const add = Effect.forEach(Array.from({ length: count / batch }), () => outbox.add(commands()), { discard: true })
    const drain = Effect.gen(function* () {
      for (let left = count; left > 0; left -= batch) {
        const claimed = yield* outbox.claim({ queue: "bench", limit: batch, leaseMillis: 60_000 })
        yield* outbox.complete(claimed)
      }
    })
    const figures = yield* Effect.forEach(Array.from({ length: rounds + 1 }), () =>
      Effect.all([rateOf(count, add), rateOf(count, drain)])
    )
    const added = median(figures.slice(1).map(([rate]) => rate))
    const done = median(figures.slice(1).map(([, rate]) => rate))
    const through = 1 / (1 / added + 1 / done)
    return `${name}, ${batch} at a time: ${added.toFixed(0)} added/s, ${done.toFixed(0)} claimed and completed/s, ${through.toFixed(0)} through/s`
  })

/** Commands through the worker: added by the thousand, then claimed, handled by an effect that does nothing, and completed. */
const workerThroughput = (name: string, batch: number) =>
  Effect.gen(function* () {
    const count = 10_000
    let left = 0
    const all = Latch.makeUnsafe()
    const commands = Outbox.make({
      queue: `worker ${batch}`,
      payload: Schema.Struct({ id: Schema.String, amount: Schema.Int }),
      handle: () => Effect.sync(() => (--left === 0 ? all.openUnsafe() : false))
    })
    const additions = () =>
      Array.from({ length: count }, () => ({ payload: { id: "pi_3", amount: 4200 }, key: fresh() }))
    const isDone = Effect.map(commands.counts, ({ Claimed }) => Claimed === 0)
    const work = Effect.gen(function* () {
      left = count
      all.closeUnsafe()
      const worker = yield* Effect.forkScoped(commands.run({ batch }))
      yield* all.await
      yield* Effect.repeat(Effect.delay(isDone, "1 millis"), { until: (done) => done })
      yield* Fiber.interrupt(worker)
    })
    const figures = yield* Effect.forEach(Array.from({ length: 4 }), () =>
      Effect.gen(function* () {
        const added = yield* rateOf(count, commands.addAll(additions()))
        const before = process.cpuUsage()
        const worked = yield* rateOf(count, Effect.scoped(work))
        const { system, user } = process.cpuUsage(before)
        return [added, worked, (system + user) / count] as const
      })
    )
    const [added, worked, cpu] = [0, 1, 2].map((column) => median(figures.slice(1).map((row) => row[column] ?? 0)))
    return `${name}, the worker with batch ${batch}: ${added?.toFixed(0)} added/s, ${worked?.toFixed(0)} worked off/s, ${cpu?.toFixed(0)} µs of CPU each`
  })

const folder = mkdtempSync(join(tmpdir(), "breakwater-bench-"))
const file = (name: string, synchronous: "full" | "normal") =>
  Stores.layerSqlite({ filename: join(folder, `${name}.sqlite`), synchronous })

const prefix = `bench_${process.pid}`
const dropTables = Effect.flatMap(SqlClient.SqlClient, (sql) =>
  Effect.forEach(["idempotency", "outbox", "answer", "answer_tag", "lease", "link", "migrations"], (table) =>
    sql.unsafe(`DROP TABLE ${prefix}_${table}`)
  )
)
const deleteKeys = Effect.flatMap(Redis.Redis, (redis) =>
  Effect.flatMap(redis.send<ReadonlyArray<string>>("KEYS", `${prefix}:*`), (keys) =>
    Effect.forEach(keys, (key) => redis.send("DEL", key), { discard: true })
  )
)

const postgres = Stores.layerPostgres({ prefix }).pipe(
  Layer.provideMerge(PgClient.layer({ host: "127.0.0.1", username: "postgres", database: "test", maxConnections: 16 }))
)
const redis = Stores.layerRedis({ prefix }).pipe(Layer.provideMerge(NodeRedis.layer({ url: "redis://127.0.0.1:6379" })))

const say = (line: string) => Effect.sync(() => void process.stdout.write(`${line}\n`))
const show = <E, R>(line: Effect.Effect<string, E, R>) => Effect.flatMap(line, say)

const program = Effect.gen(function* () {
  yield* Effect.provide(show(inMemory), Stores.layerMemory())
  yield* show(ofCall)
  if (process.argv.includes("--memory")) return
  yield* Effect.provide(show(records("memory", 20_000, 1)), Stores.layerMemory())
  for (const synchronous of ["full", "normal"] as const) {
    const name = `SQLite, synchronous ${synchronous}`
    yield* Effect.provide(show(records(name, 2000, 1)), file(`records-${synchronous}`, synchronous))
    yield* Effect.provide(
      Effect.all([
        show(outboxThroughput(name, 1)),
        show(outboxThroughput(name, 100)),
        show(workerThroughput(name, 128)),
        show(workerThroughput(name, 500))
      ]),
      file(`outbox-${synchronous}`, synchronous)
    )
  }
  yield* Effect.andThen(
    Effect.all([
      show(records("PostgreSQL", 2000, 16)),
      show(outboxThroughput("PostgreSQL", 100)),
      show(workerThroughput("PostgreSQL", 128)),
      show(workerThroughput("PostgreSQL", 500))
    ]),
    dropTables
  ).pipe(
    Effect.provide(postgres),
    Effect.catch(() => say("PostgreSQL does not answer"))
  )
  yield* Effect.andThen(show(records("Redis", 2000, 16)), deleteKeys).pipe(
    Effect.provide(redis),
    Effect.catch(() => say("Redis does not answer"))
  )
})

await Effect.runPromise(program).finally(() => rmSync(folder, { recursive: true }))
