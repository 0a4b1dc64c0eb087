/** What a change of policies promises, held against simulations: whenever it comes, and whoever leaves, nothing is lost and nothing is held twice. */
import { assert, describe, it as plain } from "@effect/vitest"
import { Call, Calls, type CallPolicy, Health, Policies } from "@breakwater/core"
import { Connections } from "@breakwater/core/Connections"
import { StandingStops, Stops } from "@breakwater/core/Stops"
import { Mode, Simulation, Vitest } from "@breakwater/testkit"
import { Clock, Effect, Fiber } from "effect"

const it = Vitest.extend(plain)

interface World {
  /** When each attempt was sent. */
  readonly sent: Array<number>
  atOnce: number
  mostAtOnce: number
}

const by = "the simulation"
const begins = { rate: { reserve: 0.1 }, bulkhead: { concurrency: 2, queue: 8 } } satisfies CallPolicy.CallPolicy

const names = [
  "more slots",
  "fewer slots",
  "no queue",
  "an adaptive limit",
  "another sharing",
  "another breaker"
] as const

/** What an operator may do in the middle, and how many slots there are at most after it. */
const changes = {
  "more slots": { bulkhead: { concurrency: 3 } },
  "fewer slots": { bulkhead: { concurrency: 1 } },
  "no queue": { bulkhead: { concurrency: 2, queue: 0 } },
  "an adaptive limit": { bulkhead: { concurrency: 2, adaptive: { minimum: 1 } }, throttle: {} },
  "another sharing": { rate: { reserve: 0.5, queue: 1, partitions: 1 } },
  "another breaker": { breaker: { window: 5, minimumCalls: 2, slowAfter: "100 millis" } }
} satisfies Record<(typeof names)[number], CallPolicy.CallPolicy>

const mostSlots = 3
const instants = ["0 millis", "50 millis", "100 millis", "150 millis", "250 millis"] as const

/** Six calls at two slots and ten tokens a second, a policy that changes and is taken back at any time, and a caller who leaves. */
const changed = Simulation.make({
  name: "policies that change under load",
  world: Effect.sync((): World => ({ sent: [], atOnce: 0, mostAtOnce: 0 })),
  program: (world) =>
    Effect.gen(function* () {
      const provider = yield* Call.connect({
        provider: "wallet",
        rate: { limit: 10, window: "1 second" },
        policy: begins
      })
      const service = Effect.acquireUseRelease(
        Effect.map(Clock.currentTimeMillis, (now) => {
          world.sent.push(now)
          world.mostAtOnce = Math.max(world.mostAtOnce, ++world.atOnce)
        }),
        () => Effect.sleep(150),
        () => Effect.sync(() => void world.atOnce--)
      )
      const call = Effect.exit(Call.protect(service, { provider, operation: "get", safety: "safe" }))
      const fibers = yield* Effect.forEach(
        ["interactive", "import", "interactive", "webhook", "interactive", "import"] as const,
        (traffic) => Effect.forkChild(Call.withClass(call, traffic))
      )
      const operator = Effect.gen(function* () {
        const name = yield* Simulation.choose("the operator wants", names)
        yield* Effect.sleep(yield* Simulation.choose("the operator comes", instants))
        yield* Policies.set({ provider: "wallet", policy: changes[name], by })
        yield* Simulation.sometimes(name)
        yield* Effect.sleep(yield* Simulation.choose("the operator takes it back", instants))
        yield* Policies.set({ provider: "wallet", policy: {}, by })
      })
      const leaver = Effect.gen(function* () {
        const victim = yield* Simulation.choose("who leaves", ["0", "1", "2", "3", "4", "5"])
        yield* Effect.sleep(yield* Simulation.choose("a caller leaves", instants))
        const fiber = fibers[Number(victim)]
        if (fiber !== undefined) yield* Fiber.interrupt(fiber)
      })
      yield* Effect.all([operator, leaver], { concurrency: "unbounded" })
      yield* Effect.forEach(fibers, Fiber.await)
      const [connection] = (yield* Health.snapshot).connections
      return {
        bulkhead: connection?.bulkhead,
        waiting: connection?.rateBudget.waiting,
        used: connection?.rateBudget.usage[0]?.used
      }
    }).pipe(
      Effect.scoped,
      Effect.provideService(Connections, new Set()),
      Effect.provideService(Stops, new StandingStops())
    ),
  invariant: ({ exit, world }) => {
    if (exit._tag === "Failure") return "the program failed"
    const { bulkhead, waiting } = exit.value
    if (bulkhead?.inFlight !== 0 || bulkhead.waiting !== 0 || waiting !== 0)
      return `held: ${JSON.stringify(exit.value)}`
    if (bulkhead.concurrency !== 2) return `${bulkhead.concurrency} slots in the end`
    if (world.atOnce !== 0) return `${world.atOnce} still run`
    if (world.mostAtOnce > mostSlots) return `${world.mostAtOnce} ran at once`
    // Evenly spaced whatever changed: a token that is lost or given twice would show.
    const gap = world.sent.findIndex((at, index) => index > 0 && at - (world.sent[index - 1] ?? 0) < 100)
    return gap === -1 ? undefined : `sent at ${world.sent.join(", ")}`
  },
  sometimes: Object.fromEntries(names.map((name) => [name, Simulation.marked]))
})

/** Calls at a provider that is stopped and goes on again at any time. */
const stopped = Simulation.make({
  name: "calls that are stopped",
  world: Effect.sync(() => ({ sent: [] as Array<number>, from: Number.NaN, to: Number.NaN })),
  program: (world) =>
    Effect.gen(function* () {
      const provider = yield* Call.connect({
        provider: "wallet",
        rate: { limit: 10, window: "1 second" },
        policy: { bulkhead: { concurrency: 1 } }
      })
      const service = Effect.flatMap(Clock.currentTimeMillis, (now) => {
        world.sent.push(now)
        return Effect.sleep(130)
      })
      const call = Effect.exit(Call.protect(service, { provider, operation: "get", safety: "safe" }))
      const fibers = yield* Effect.forEach([1, 2, 3, 4], () => Effect.forkChild(call))
      yield* Effect.sleep(
        yield* Simulation.choose("they are stopped", [
          "10 millis",
          "100 millis",
          "130 millis",
          "140 millis",
          "270 millis"
        ])
      )
      world.from = yield* Clock.currentTimeMillis
      yield* Calls.stop({ provider: "wallet", by })
      yield* Effect.sleep(
        yield* Simulation.choose("they go on", ["10 millis", "100 millis", "130 millis", "300 millis"])
      )
      world.to = yield* Clock.currentTimeMillis
      yield* Calls.resume({ provider: "wallet", by })
      yield* Effect.forEach(fibers, Fiber.await)
      const [connection] = (yield* Health.snapshot).connections
      return [connection?.bulkhead.inFlight, connection?.bulkhead.waiting, connection?.rateBudget.waiting]
    }).pipe(
      Effect.scoped,
      Effect.provideService(Connections, new Set()),
      Effect.provideService(Stops, new StandingStops())
    ),
  invariant: ({ exit, world: { from, sent, to } }) => {
    if (exit._tag === "Failure") return "the program failed"
    if (exit.value.some((each) => each !== 0)) return `held: ${exit.value.join(", ")}`
    const within = sent.find((at) => at > from && at < to)
    return within === undefined ? undefined : `sent at ${within}, stopped from ${from} to ${to}`
  }
})

const tight = {
  attempts: 1,
  rateWait: "50 millis",
  breaker: { consecutiveFailures: 1, openFor: "200 millis", successesToClose: 1 },
  bulkhead: { concurrency: 1, queue: 0 },
  throttle: { minimumCalls: 1 }
} satisfies CallPolicy.CallPolicy

/** Calls of which any may fail, under policies that would refuse most of them and only watch. */
const watched = Simulation.make({
  name: "policies in shadow mode",
  world: Effect.sync(() => ({ sent: 0 })),
  program: (world) =>
    Effect.gen(function* () {
      const provider = yield* Call.connect({
        provider: "wallet",
        rate: { limit: 1, window: "1 second" },
        policy: { ...tight, shadow: ["breaker", "rate", "bulkhead", "throttle"] }
      })
      const service = Effect.gen(function* () {
        world.sent++
        yield* Effect.sleep(100)
        if ((yield* Simulation.choose("the provider is", ["well", "down"])) === "down") {
          yield* Simulation.sometimes("the provider is down")
          return yield* Effect.fail("down")
        }
      })
      const call = Call.protect(service, {
        provider,
        operation: "get",
        safety: "safe",
        classify: () => ({ sent: "unknown", unhealthy: true })
      })
      for (let round = 0; round < 3; round++) {
        yield* Effect.forEach([1, 2], () => Effect.exit(call), { concurrency: "unbounded" })
        yield* Effect.sleep(120)
      }
      const [connection] = (yield* Health.snapshot).connections
      return [connection?.bulkhead.inFlight, connection?.bulkhead.waiting, connection?.rateBudget.waiting]
    }).pipe(
      Effect.scoped,
      Effect.provideService(Connections, new Set()),
      Effect.provideService(Stops, new StandingStops())
    ),
  invariant: ({ exit, world }) => {
    if (exit._tag === "Failure") return "the program failed"
    if (exit.value.some((each) => each !== 0)) return `held: ${exit.value.join(", ")}`
    return world.sent === 6 ? undefined : `${world.sent} of 6 were sent`
  },
  sometimes: { "the provider is down": Simulation.marked }
})

describe("a policy that changes under load", () => {
  it.simulate(
    "loses no slot, place or token, and gives none twice",
    changed,
    Mode.exhaustive({ deviations: 2 }),
    120_000
  )

  it("does so when it comes before any operation of anybody", () => {
    const outcome = Simulation.verify(changed, Mode.exhaustive({ deviations: 1, preemption: "every-op" }))

    assert.isTrue(outcome.exhausted)
  }, 120_000)
})

describe("calls that are stopped", () => {
  it.simulate("are not sent while they are, and hold nothing", stopped, Mode.exhaustive({ deviations: 2 }), 120_000)
})

describe("policies in shadow mode", () => {
  it.simulate("refuse nothing, whatever the provider does", watched, Mode.exhaustive({ deviations: 2 }), 120_000)
})
