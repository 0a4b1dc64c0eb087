import { assert, it as plain, describe } from "@effect/vitest"
import { IdempotencyStore, memory } from "@breakwater/core/IdempotencyStore"
import * as OutboxMemory from "@breakwater/core/OutboxMemory"
import { OutboxStore } from "@breakwater/core/OutboxStore"
import * as Sqlite from "@breakwater/core/node/Sqlite"
import * as Stores from "@breakwater/core/node/Stores"
import { Mode, Process, Simulation, Vitest } from "@breakwater/testkit"
import * as KillPoint from "@breakwater/testkit/node/KillPoint"
import { Effect, Layer } from "effect"
import { Reactivity } from "effect/reactivity"
import { SqlClient } from "effect/sql"
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { inject } from "vitest"
import { folder, inPostgres, inRedis } from "./support/Adapters.ts"
import type { Provider } from "./support/Jobs.ts"
import { done, sendOnce, workOff } from "./support/Jobs.ts"

const it = Vitest.extend(plain)

type Used = IdempotencyStore | OutboxStore

/** What a process opens anew in each of its lives; what it keeps outlives them. */
type Opened = Layer.Layer<Used, unknown>

/** Stands for a durable store. */
const inMemory = Effect.sync((): Opened =>
  Layer.merge(Layer.succeed(IdempotencyStore, memory()), Layer.succeed(OutboxStore, OutboxMemory.make()))
)

/** A connection of its own for each life, which ends with it as the operating system ends it. */
const inFile = Effect.map(folder, (path): Opened => {
  const options = { filename: join(path, "stores.sqlite"), synchronous: "normal" } as const
  const database = Process.handle(Sqlite.openDatabase(options), (each) => each.close())
  const client = Layer.effect(SqlClient.SqlClient, Effect.flatMap(database, Sqlite.make))
  return Stores.layerSql().pipe(Layer.provide(client), Layer.provide(Reactivity.layer))
})

const stores = { memory: inMemory, SQLite: inFile }

interface World {
  readonly provider: Provider & { readonly sends: Array<string> }
  readonly opened: Opened
}

const worldOf = (keyed: boolean, store: keyof typeof stores) =>
  Effect.map(stores[store], (opened): World => ({ provider: { sends: [], keyed, leaseMillis: 5000 }, opened }))

const doneIn = ({ keyed, sends }: World["provider"]) => done(keyed, sends)

/** Two processes, each of which may be killed wherever it could go on, and starts again. */
const twice = (world: World, program: Effect.Effect<void, unknown, Used>) =>
  Effect.gen(function* () {
    const life = Effect.orDie(Effect.provide(program, world.opened))
    const first = yield* Process.start("first", life, { maxKills: 2 })
    const second = yield* Process.start("second", life, { maxKills: 2 })
    yield* first.join
    yield* second.join
  })

const sending = (keyed: boolean, store: keyof typeof stores) =>
  Simulation.make({
    name: `sending ${keyed ? "with a key" : "without keys"}, ${store}`,
    world: worldOf(keyed, store),
    program: (world) => twice(world, sendOnce(world.provider, "order/1")),
    invariant: ({ world }) => {
      const { length } = doneIn(world.provider)
      return length === 1 ? undefined : `done ${length} times`
    }
  })

const keys = ["1", "2", "3"]

const workingOff = (store: keyof typeof stores) =>
  Simulation.make({
    name: `working off, ${store}`,
    world: worldOf(true, store),
    program: (world) => twice(world, workOff(world.provider, keys)),
    invariant: ({ world }) => {
      const order = doneIn(world.provider).join()
      return order === keys.join() ? undefined : `done in the order ${order}`
    },
    sometimes: { "one is sent twice": ({ world }) => world.provider.sends.length > keys.length }
  })

/** One process that nobody disturbs, for the points that it passes. */
const alone = (program: (provider: Provider) => Effect.Effect<void, unknown, Used>) =>
  Simulation.make({
    name: "alone",
    world: worldOf(false, "SQLite"),
    program: ({ opened, provider }) =>
      Effect.gen(function* () {
        const only = yield* Process.start("only", Effect.orDie(Effect.provide(program(provider), opened)))
        yield* only.join
      }),
    invariant: () => undefined
  })

describe("A process that is killed at any step", () => {
  for (const keyed of [true, false]) {
    const how = keyed ? "with a key" : "that has none"
    it.simulate(
      `does it once at a provider ${how}, in memory`,
      sending(keyed, "memory"),
      Mode.exhaustive({ deviations: 2 })
    )
    it.simulate(
      `does it once at a provider ${how}, in memory, overtaken before any operation`,
      sending(keyed, "memory"),
      Mode.exhaustive({ deviations: 1, preemption: "every-op" })
    )
    it.simulate(
      `does it once at a provider ${how}, in SQLite`,
      sending(keyed, "SQLite"),
      Mode.exhaustive({ deviations: 1 })
    )
  }
  it.simulate(
    "loses no command and does them in order, in memory",
    workingOff("memory"),
    Mode.exhaustive({ deviations: 1 })
  )
  it.simulate(
    "loses no command and does them in order, in SQLite",
    workingOff("SQLite"),
    Mode.exhaustive({ deviations: 1 })
  )
})

type Server = "postgres" | "redis"

const prefixOf = (server: Server) => `t_killed_${server}_${process.pid}`

/** Makes the tables before, and cleans up after. */
const cleanly = (server: Server): Layer.Layer<never, unknown> =>
  server === "redis"
    ? Layer.effectDiscard(Layer.build(inRedis(prefixOf(server))))
    : Layer.effectDiscard(Layer.build(inPostgres(prefixOf(server))))

/** How often the provider did it, for each moment at which a real process was killed and started again. */
const sweep = Effect.fnUntraced(function* (
  server: Server,
  job: "send" | "work off",
  moments: ReadonlyArray<KillPoint.Moment>
) {
  const script = new URL("support/JobProcess.ts", import.meta.url)
  yield* Layer.build(cleanly(server))
  const path = yield* folder
  const keyed = job === "work off"
  return yield* Effect.forEach(
    moments,
    (moment, index) =>
      Effect.gen(function* () {
        const file = join(path, `${index}`)
        const args = [server, prefixOf(server), `${job} ${index}`, keyed ? "keyed" : "keyless", file]
        yield* KillPoint.run(moment, { script, args })
        const lines = existsSync(file) ? readFileSync(file, "utf8").trim().split("\n") : []
        return `${moment.point}#${moment.occurrence}: ${done(keyed, lines).length}`
      }),
    { concurrency: 2 }
  )
})

const each = (moments: ReadonlyArray<KillPoint.Moment>, count: number) =>
  moments.map(({ occurrence, point }) => `${point}#${occurrence}: ${count}`)

describe("A real process that is killed at each of those points", () => {
  for (const server of ["postgres", "redis"] as const) {
    plain.live.skipIf(!inject(server))(
      `does it once at a provider that has no keys, with ${server}`,
      () =>
        Effect.gen(function* () {
          const moments = KillPoint.moments(
            alone((provider) => sendOnce(provider, "order/1")),
            "only"
          )

          assert.deepStrictEqual(yield* sweep(server, "send", moments), each(moments, 1))
        }).pipe(Effect.scoped),
      120_000
    )
  }

  plain.live.skipIf(!inject("postgres"))(
    "loses no command, with postgres",
    () =>
      Effect.gen(function* () {
        const moments = KillPoint.moments(
          alone((provider) => workOff(provider, keys)),
          "only"
        ).slice(0, 4)

        assert.deepStrictEqual(yield* sweep("postgres", "work off", moments), each(moments, keys.length))
      }).pipe(Effect.scoped),
    120_000
  )
})
