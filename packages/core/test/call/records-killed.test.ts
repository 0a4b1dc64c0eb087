import { it as plain, describe } from "@effect/vitest"
import { Idempotency } from "@breakwater/core"
import { IdempotencyStore, memory } from "@breakwater/core/IdempotencyStore"
import * as Sqlite from "@breakwater/core/node/Sqlite"
import * as Stores from "@breakwater/core/node/Stores"
import type { Ledger } from "@breakwater/testkit"
import { Fault, FaultMenu, Mode, Process, Simulation, Vitest } from "@breakwater/testkit"
import { Duration, Effect, Fiber, Layer } from "effect"
import { HttpClient } from "effect/http"
import { Reactivity } from "effect/reactivity"
import { SqlClient } from "effect/sql"
import { join } from "node:path"
import { folder } from "../store/support/Adapters.ts"
import * as Payer from "../support/Payer.ts"

const it = Vitest.extend(plain)

type Opened = Layer.Layer<IdempotencyStore, unknown>

/** Stands for a durable store, whose every request takes a while: whatever can happen in between happens. */
const inMemory = Effect.sync((): Opened => Layer.succeed(IdempotencyStore, unhurried(memory())))

const unhurried = (store: IdempotencyStore["Service"]): IdempotencyStore["Service"] => {
  const slow = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.andThen(
      Effect.yieldNow,
      Effect.flatMap(Effect.exit(effect), (exit) => Effect.andThen(Effect.yieldNow, exit))
    )
  return {
    ...store,
    claim: (request) => slow(store.claim(request)),
    sending: (claim, lease) => slow(store.sending(claim, lease)),
    settle: (claim, settlement) => slow(store.settle(claim, settlement))
  }
}

const inFile = Effect.map(folder, (path): Opened => {
  const options = { filename: join(path, "stores.sqlite"), synchronous: "normal" } as const
  const database = Process.handle(Sqlite.openDatabase(options), (each) => each.close())
  const client = Layer.effect(SqlClient.SqlClient, Effect.flatMap(database, Sqlite.make))
  return Stores.layerSql().pipe(Layer.provide(client), Layer.provide(Reactivity.layer))
})

const stores = { memory: inMemory, SQLite: inFile }

interface World {
  readonly ledger: Ledger
  readonly client: HttpClient.HttpClient
  readonly opened: Opened
  /** What processes were told. */
  readonly told: Array<string>
}

const faults = FaultMenu.make([Fault.refused, Fault.lostResponse, Fault.status(503)])

const worldOf = (store: keyof typeof stores, faulty = false) =>
  Effect.gen(function* () {
    const { client, ledger } = yield* Payer.simulated(faulty ? faults : undefined)
    const world: World = { ledger, client, opened: yield* stores[store], told: [] }
    return world
  })

const payment = (keyed: boolean) =>
  Effect.gen(function* () {
    const payer = yield* Payer.Payer
    const charge = payer.payments.charge({ payload: { cents: 4200 } }).pipe(Idempotency.withKey("order/1/charge"))
    const send = payer.payments.send({ payload: { cents: 4200 } }).pipe(Idempotency.once("order/1/send"))
    return yield* keyed ? charge : send
  })

/** Pays until somebody says what came of it: as a job that is run again would. */
const pay = Effect.fnUntraced(function* (keyed: boolean, told: Array<string>) {
  for (let round = 0; round < 20; round++) {
    const ended = yield* Effect.match(payment(keyed), {
      onSuccess: ({ id }) => id,
      onFailure: (error) => error
    })
    if (typeof ended === "string") return void told.push(`paid as ${ended}`)
    if (ended._tag !== "RetryableError") return void told.push(`${ended._tag} ${ended.reason._tag}`)
    yield* Effect.sleep(ended.retryAfter ?? Duration.seconds(1))
  }
  return yield* Effect.die(new Error("it comes to no end"))
})

const inProcess = ({ client, opened }: World) =>
  Layer.merge(Payer.layer.pipe(Layer.provide(Layer.succeed(HttpClient.HttpClient, client))), opened)

/** Processes with one key, each of which may be killed wherever it could go on, and starts again. */
const started = (world: World, keyed: boolean, names: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const life = Effect.orDie(Effect.provide(pay(keyed, world.told), inProcess(world)))
    const processes = yield* Effect.forEach(names, (name) => Process.start(name, life, { maxKills: 2 }))
    yield* Effect.forEach(processes, ({ join }) => join)
  })

const alone = ["only"]
const two = ["first", "second"]

/** Who was told that it is paid was told the truth, and the same as everybody else. */
const problemOf = ({ ledger, told }: World, keyed: boolean): string | undefined => {
  const { length } = ledger.entries
  const paid = new Set(told.filter((each) => each.startsWith("paid")))
  if (length > 1 || (keyed && length !== 1)) return `paid ${length} times, told: ${told.join("; ")}`
  if (paid.size > 1) return `told different things: ${told.join("; ")}`
  if (paid.size === 1 && length === 0) return `told that it is paid, and it is not: ${told.join("; ")}`
  return keyed && told.some((each) => !each.startsWith("paid")) ? `told: ${told.join("; ")}` : undefined
}

interface Setting {
  readonly keyed: boolean
  readonly store: keyof typeof stores
  readonly processes: ReadonlyArray<string>
  readonly faulty?: boolean
}

const paying = ({ faulty = false, keyed, processes, store }: Setting) =>
  Simulation.make({
    name: `paying ${keyed ? "with a key" : "once"}, ${store}, ${processes.length}${faulty ? ", faults" : ""}`,
    world: worldOf(store, faulty),
    program: (world) => started(world, keyed, processes),
    invariant: ({ world }) => problemOf(world, keyed),
    sometimes: {
      "it is paid": ({ world }) => world.ledger.entries.length === 1,
      // Which is what must never be of one with a key.
      "one process does not know": ({ world }) => keyed || world.told.some((each) => each.startsWith("OutcomeUnknown"))
    }
  })

describe("a client whose process is killed at any step", () => {
  for (const keyed of [true, false]) {
    const how = keyed ? "exactly once with a key" : "at most once under a name"
    it.simulate(
      `pays ${how}, beside another with the same, in memory`,
      paying({ keyed, store: "memory", processes: two }),
      Mode.exhaustive({ deviations: 2 })
    )
    it.simulate(
      `pays ${how}, over a network that fails, in memory`,
      paying({ keyed, store: "memory", processes: alone, faulty: true }),
      Mode.exhaustive({ deviations: 2 })
    )
    it.simulate(
      `pays ${how}, beside another with the same, in SQLite`,
      paying({ keyed, store: "SQLite", processes: two }),
      Mode.exhaustive({ deviations: 1 })
    )
  }
})

/** One call, and somebody who interrupts it as soon as the plan lets them. */
const interrupting = (keyed: boolean) =>
  Simulation.make({
    name: `interrupting ${keyed ? "with a key" : "once"}`,
    world: Effect.gen(function* () {
      const { client, ledger } = yield* Payer.simulated()
      const store = memory()
      return {
        client,
        ledger,
        store,
        opened: Layer.succeed(IdempotencyStore, unhurried(store)),
        told: [] as Array<string>
      }
    }),
    program: (world) =>
      Effect.gen(function* () {
        const paying = yield* Effect.forkChild(Effect.exit(Effect.interruptible(payment(keyed))))
        yield* Effect.sleep(Number(yield* Simulation.choose("interrupted after", ["0", "40", "80", "81", "200"])))
        yield* Fiber.interrupt(paying)
        const rows = yield* world.store.list({
          states: ["Absent", "InFlight", "Succeeded", "Pending", "Unknown"],
          limit: 9
        })
        world.told.push(...rows.map(({ state }) => state))
      }).pipe(Effect.provide(inProcess(world)), Effect.orDie),
    invariant: ({ world: { ledger, told } }) => {
      const [state = "Absent"] = told
      if (state === "InFlight") return "its record is in flight"
      return state === "Absent" && ledger.entries.length > 0 ? "paid, and taken for not sent" : undefined
    },
    sometimes: {
      "nothing was sent": ({ world }) => (world.told[0] ?? "Absent") === "Absent",
      "it may be paid": ({ world }) => world.told[0] === (keyed ? "Pending" : "Unknown"),
      "it is paid": ({ world }) => world.told[0] === "Succeeded"
    }
  })

describe("a call that is interrupted at any step", () => {
  for (const keyed of [true, false]) {
    it.simulate(
      `leaves no record in flight, and none that says less than was done, ${keyed ? "with a key" : "under a name"}`,
      interrupting(keyed),
      Mode.exhaustive({ deviations: 1, preemption: "every-op" })
    )
  }
})
