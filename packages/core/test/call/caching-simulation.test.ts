/** What kept answers promise, held against simulations: outages, expiries that many meet at once, callers that leave, connections that share a store. */
import { assert, describe, it as plain } from "@effect/vitest"
import { Answer, AnswerStore, Auth, Caching, Client, Provider } from "@breakwater/core"
import {
  Fault,
  FaultMenu,
  FaultPlan,
  Ledger,
  Mode,
  SimulatedNetwork,
  SimulatedProvider,
  Simulation,
  Vitest
} from "@breakwater/testkit"
import { Clock, Context, Duration, Effect, Fiber, Layer, Redacted, Schema } from "effect"
import { HttpApi, HttpApiBuilder, HttpApiEndpoint, HttpApiGroup } from "effect/http-api"

const it = Vitest.extend(plain)

const Rate = Schema.Struct({ pair: Schema.String, cents: Schema.Int })

const api = HttpApi.make("rates").add(
  HttpApiGroup.make("rates").add(
    HttpApiEndpoint.get("get", "/rates/:pair", { params: { pair: Schema.String }, success: Rate }).pipe(
      Caching.ttl({ ttl: "5 minutes", staleFor: "1 hour" })
    )
  )
)

const provider = Provider.make("rates", {
  api,
  environments: { sandbox: "https://sandbox.rates.test", production: "https://api.rates.test" },
  auth: Auth.bearer()
})

class Rates extends Context.Service<Rates, Client.Of<typeof provider>>()("test/Rates") {}

/** The provider, which says its minute as a rate, and when it was asked. */
const world = Effect.gen(function* () {
  const asked: Array<number> = []
  const startedAt = yield* Clock.currentTimeMillis
  const handlers = HttpApiBuilder.group(api, "rates", (handlers) =>
    handlers.handle("get", ({ params: { pair } }) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        asked.push(now - startedAt)
        return { pair, cents: Math.floor((now - startedAt) / 60_000) }
      })
    )
  )
  const simulated = yield* SimulatedProvider.make({ provider, handlers, latency: "50 millis", ledger: new Ledger() })
  return { asked, simulated, startedAt, given: [] as Array<string> }
})

type World = Effect.Success<typeof world>

const layerOf = ({ simulated }: World, plan: FaultPlan.FaultPlan, options?: Partial<Client.LayerOptions>) =>
  Client.layer(Rates, provider, { credential: Redacted.make("key"), ...options }).pipe(
    Layer.provide(SimulatedNetwork.layer([simulated], { plan }))
  )

/** Waits until so many milliseconds after the start. */
const until = ({ startedAt }: World, at: number) =>
  Effect.flatMap(Clock.currentTimeMillis, (now) => Effect.sleep(startedAt + at - now))

const get = (pair = "eurusd") => Effect.flatMap(Rates, (client) => client.rates.get({ params: { pair } }))

describe("an outage of the provider", () => {
  it("is not noticed for as long as declared, and then it is", () => {
    const { outcome } = Simulation.run(
      Effect.gen(function* () {
        const made = yield* world
        const seen: Array<string> = []
        const look = Effect.match(Answer.capture(get()), {
          onFailure: ({ _tag }) => _tag,
          onSuccess: ({ age, source }) => `${source} ${Math.round(Duration.toMinutes(age))}`
        })
        yield* Effect.gen(function* () {
          for (let minute = 0; minute < 100; minute++) {
            seen.push(`${minute}: ${yield* look}`)
            yield* until(made, (minute + 1) * 60_000)
          }
        }).pipe(
          Effect.provide(
            layerOf(made, FaultPlan.outage({ from: "2 minutes", to: "90 minutes" }), {
              policy: { attempts: 1, breaker: { openFor: "10 seconds", maxOpenFor: "10 seconds" } }
            })
          )
        )
        return seen
      })
    )
    const seen = outcome._tag === "Completed" && outcome.exit._tag === "Success" ? outcome.exit.value : []

    const sources = seen.map((text) => text.split(" ")[1])
    const runs = sources.flatMap((source, minute) => (source === sources[minute - 1] ? [] : [`${minute} ${source}`]))
    assert.deepStrictEqual(runs, [
      "0 live",
      "1 cached",
      "6 stale",
      "66 RetryableError",
      "90 live",
      "91 cached",
      "96 live",
      "97 cached"
    ])
    assert.strictEqual(seen[64], "64: stale 64")
  })
})

/** A store that takes a moment for everything. */
const slowStore = () => {
  const memory = AnswerStore.memory()
  return AnswerStore.AnswerStore.of({
    ...memory,
    get: (key, version) => Effect.delay(memory.get(key, version), 1),
    set: (key, answer) => Effect.delay(memory.set(key, answer), 1)
  })
}

/** Three who ask, six minutes apart, twice; one may leave on the way. */
const readers = (options: { readonly store: boolean; readonly leaves: boolean }) =>
  Simulation.make({
    world,
    program: (made) => {
      const store = options.store ? Layer.sync(AnswerStore.AnswerStore, slowStore) : Layer.empty
      const reader = Effect.gen(function* () {
        for (let round = 0; round < 2; round++) {
          const { source, value } = yield* Answer.capture(get())
          made.given.push(`${round} ${value.cents} ${source === "cached" ? "live" : source}`)
          yield* until(made, 360_000 * (round + 1))
        }
      })
      const all = Effect.gen(function* () {
        const fibers = yield* Effect.forEach([0, 1, 2], () => Effect.forkChild(reader))
        const [first] = fibers
        if (options.leaves && first !== undefined) {
          yield* Effect.sleep(Number(yield* Simulation.choose("leaves after", ["25", "0", "360025"])))
          yield* Fiber.interrupt(first)
        }
        yield* Effect.forEach(fibers, Fiber.await)
      })
      return Effect.provide(all, Layer.provide(layerOf(made, FaultPlan.none), store))
    },
    invariant: ({ world: { asked, given } }) => {
      if (asked.length !== 2) return `the provider was asked ${asked.length} times, at ${asked.join(", ")}`
      const staying = options.leaves ? 2 : 3
      for (const expected of ["0 0 live", "1 6 live"])
        if (given.filter((text) => text === expected).length < staying) return `given ${given.join("; ")}`
      return undefined
    }
  })

describe("many who ask when an answer has expired", () => {
  it.simulate(
    "ask the provider once each time, whoever comes first",
    readers({ store: false, leaves: false }),
    Mode.exhaustive({ deviations: 2 })
  )

  it.simulate(
    "ask the provider once each time, whoever is overtaken where",
    readers({ store: false, leaves: false }),
    Mode.exhaustive({ deviations: 1, preemption: "every-op" })
  )

  it.simulate(
    "ask once when one of them leaves, and the others have the answer",
    readers({ store: false, leaves: true }),
    Mode.exhaustive({ deviations: 2 })
  )

  it.simulate(
    "ask once over a store that they wait for",
    readers({ store: true, leaves: false }),
    Mode.exhaustive({ deviations: 2 })
  )
})

interface Tenants {
  readonly a: World
  readonly b: World
  readonly wrong: Array<string>
  given: number
}

/** Two connections over one store ask for the same at the same time, and the network fails them. */
const tenants = Simulation.make({
  world: Effect.map(Effect.all([world, world]), ([a, b]): Tenants => ({ a, b, wrong: [], given: 0 })),
  program: (made: Tenants) => {
    const menu = FaultMenu.make([Fault.refused, Fault.status(503), Fault.lostResponse, Fault.truncated()])
    const tenant = (world: World, connection: string, pair: string) =>
      Effect.gen(function* () {
        for (const round of [1, 2]) {
          // The same path for both: what tells them apart is whose it is.
          const exit = yield* Effect.exit(get("eurusd"))
          if (exit._tag === "Success") {
            made.given++
            if (exit.value.cents !== (pair === "a" ? 0 : 10))
              made.wrong.push(`${connection} ${round}: ${exit.value.cents}`)
          }
          yield* Effect.sleep("1 second")
        }
      }).pipe(Effect.provide(layerOf(world, menu, { connection })))
    const first = tenant(made.a, "a", "a")
    const second = Effect.andThen(Effect.sleep("10 minutes"), tenant(made.b, "b", "b"))
    return Effect.provide(
      Effect.all([first, second], { concurrency: 2, discard: true }),
      AnswerStore.AnswerStore.layerMemory()
    )
  },
  invariant: ({ world: { wrong } }) => (wrong.length === 0 ? undefined : `saw what is another's: ${wrong.join("; ")}`),
  sometimes: { "all have their answers": ({ world: { given } }) => given === 4 }
})

describe("two connections over one store", () => {
  it.simulate("never see each other's answers", tenants, Mode.exhaustive({ deviations: 2 }))
})
