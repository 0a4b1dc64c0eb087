/** What processes that share their circuits promise, held against simulations: an outage, a store that fails, and processes that are killed. */
import { assert, describe, it as plain } from "@effect/vitest"
import { Call, type CallPolicy, SharedCircuits } from "@breakwater/core"
import { CircuitStore, make as circuitStore, memory } from "@breakwater/core/CircuitStore"
import { Connections, type Observed } from "@breakwater/core/Connections"
import { make as storeError } from "@breakwater/core/StoreError"
import { Mode, Process, Simulation, Vitest } from "@breakwater/testkit"
import { Clock, Effect, Layer } from "effect"

const it = Vitest.extend(plain)

interface Sizes {
  /** When the provider is down, in milliseconds from the beginning. */
  readonly outage: { readonly from: number; readonly to: number }
  readonly breaker: { readonly consecutiveFailures: number; readonly maxOpenFor: number; readonly ramp: number }
  readonly everyMillis: number
  /** Until when the processes call. */
  readonly until: number
}

interface World {
  readonly store: CircuitStore["Service"]
  /** When an attempt failed, and whose it was. */
  readonly failed: Array<{ readonly who: string; readonly at: number }>
  readonly refused: Array<number>
  startedAt: number
}

const world = Effect.map(Clock.currentTimeMillis, (startedAt): World => ({
  store: memory(),
  failed: [],
  refused: [],
  startedAt
}))

/** The store as one process reaches it: an exchange may not come to it, and its answer may be lost. */
const faulty = (store: CircuitStore["Service"], who: string) => {
  const lost = Effect.fail(storeError({ store: "circuit", operation: "exchange" }, "unavailable"))
  return circuitStore((news) =>
    Effect.flatMap(Simulation.choose(`the store of ${who}`, ["answers", "is down", "loses its answer"]), (what) => {
      if (what === "is down") return lost
      return what === "answers" ? store.exchange(news) : Effect.andThen(store.exchange(news), lost)
    })
  )
}

/** One life of a process: calls the provider at its pace until the end, and shares its circuit beside that. */
const life = (sizes: Sizes, world: World, who: string, pace: { readonly first: number; readonly every: number }) =>
  Effect.gen(function* () {
    const { breaker, everyMillis, outage, until } = sizes
    // Not all at one instant: in which order they come then would be a decision each time.
    yield* Effect.sleep(pace.first)
    const policy: CallPolicy.CallPolicy = {
      attempts: 1,
      breaker: { ...breaker, openFor: breaker.maxOpenFor, successesToClose: 1 }
    }
    const provider = yield* Call.connect({ provider: "wallet", policy })
    const shares = SharedCircuits.layer({ member: who, every: everyMillis, levels: ["connection"] })
    yield* Layer.build(Layer.provide(shares, Layer.succeed(CircuitStore, faulty(world.store, who))))
    const elapsed = Effect.map(Clock.currentTimeMillis, (now) => now - world.startedAt)
    const service = Effect.flatMap(elapsed, (at) => {
      if (at < outage.from || at >= outage.to) return Effect.void
      world.failed.push({ who, at })
      return Effect.fail("down")
    })
    const classify = () => ({ sent: "unknown" as const, unhealthy: true })
    const call = Call.protect(service, { provider, operation: "get", safety: "safe", classify })
    for (;;) {
      const at = yield* elapsed
      if (at >= until) return
      const refused = Effect.sync(() => void world.refused.push(at))
      yield* Effect.ignore(Effect.catchReason(call, "RetryableError", "CircuitOpen", () => refused))
      yield* Effect.sleep(pace.every)
    }
  })

/** A process has connections of its own in each of its lives. */
const lives = (...[sizes, world, who, pace]: Parameters<typeof life>) =>
  Effect.suspend(() =>
    Effect.orDie(
      Effect.scoped(life(sizes, world, who, pace)).pipe(Effect.provideService(Connections, new Set<Observed>()))
    )
  )

describe("an outage that three processes meet", () => {
  const sizes: Sizes = {
    outage: { from: 2000, to: 12_000 },
    breaker: { consecutiveFailures: 5, maxOpenFor: 20_000, ramp: 0 },
    everyMillis: 1000,
    until: 60_000
  }
  /** How many attempts failed, and how many of them the finder sent, with loops that begin at these times. */
  const failures = (phases: ReadonlyArray<number>, shared: boolean) => {
    const { outcome } = Simulation.run(
      Effect.gen(function* () {
        const made = yield* world
        const [a = 0, b = 0, c = 0] = phases
        const each = (who: string, phase: number, every: number) =>
          Effect.andThen(
            Effect.sleep(phase),
            lives(sizes, shared ? made : { ...made, store: memory() }, who, { first: 0, every })
          )
        yield* Effect.all([each("a", a, 100), each("b", b, 800), each("c", c, 800)], { concurrency: "unbounded" })
        return { failed: made.failed, lastRefused: Math.max(...made.refused) }
      })
    )
    assert(outcome._tag === "Completed" && outcome.exit._tag === "Success")
    const { failed, lastRefused } = outcome.exit.value
    return { all: failed.length, ofFinder: failed.filter(({ who }) => who === "a").length, lastRefused }
  }

  it("costs the failures of the one that finds it, and what the others send until they have heard", () => {
    const times = [0, 90, 330, 510, 770, 950]
    const phases = times.flatMap((b) => times.map((c) => [170, b, c]))
    const runs = phases.map((each) => ({ alone: failures(each, false), shared: failures(each, true) }))
    const all = (of: "alone" | "shared") => runs.map((run) => run[of].all)
    process.stdout.write(
      `attempts that failed: each for itself ${Math.min(...all("alone"))} to ${Math.max(...all("alone"))}, shared ${Math.min(...all("shared"))} to ${Math.max(...all("shared"))}\n`
    )

    for (const { alone, shared } of runs) {
      assert.deepStrictEqual([alone.all, alone.ofFinder, shared.ofFinder], [15, 5, 5])
      // Half a second until it is found; then at most one interval until it is told, and one until it is heard: three calls of each.
      assert.isAtMost(shared.all, 5 + 2 * Math.ceil((500 + 2 * sizes.everyMillis) / 800))
      // Open for 20 s from then on, and for others up to a fifth longer; then it takes one call.
      assert.isAtMost(shared.lastRefused, 4500 + 20_000)
    }
  }, 60_000)
})

/** The longest that somebody may be refused after an outage: the open time of whoever opened last, a fifth more for whoever was told, a call and the ramp. */
const recovery = ({ breaker: { maxOpenFor, ramp } }: Sizes, pace: number) => 1.2 * maxOpenFor + pace + ramp

const fleet = (name: string, sizes: Sizes, options: { readonly kills: number; readonly processes: number }) =>
  Simulation.make({
    name,
    world,
    program: (made) =>
      Effect.gen(function* () {
        const paces = { a: { first: 10, every: 500 }, b: { first: 130, every: 1000 }, c: { first: 270, every: 1000 } }
        const started = yield* Effect.forEach(Object.entries(paces).slice(0, options.processes), ([who, pace]) =>
          Process.start(who, lives(sizes, made, who, pace), { maxKills: options.kills })
        )
        yield* Effect.forEach(started, ({ join }) => join, { discard: true })
        yield* Effect.sleep("1 second")
        for (const { name: who } of started)
          if (made.failed.filter((each) => each.who === who).length < sizes.breaker.consecutiveFailures)
            yield* Simulation.sometimes("one is spared")
        return (yield* Effect.orDie(made.store.told)).length
      }),
    invariant: ({ exit, world: { failed, refused } }) => {
      if (exit._tag === "Failure") return "the program failed"
      if (exit.value > 0) return "something is told that is over"
      const { breaker, outage } = sizes
      const last = Math.max(...refused)
      if (last > outage.to + recovery(sizes, 1000)) return `refused at ${last}`
      for (const who of ["a", "b", "c"]) {
        // Whatever the store does, nobody sends more than it would alone: so many in each life, and a probe.
        const many = failed.filter((each) => each.who === who).length
        if (many > (options.kills + 1) * (breaker.consecutiveFailures + 1)) return `${who} sent ${many} into the outage`
      }
      return undefined
    },
    sometimes: { "one is spared": Simulation.marked }
  })

describe("processes that share circuits", () => {
  const small: Sizes = {
    outage: { from: 2000, to: 6000 },
    breaker: { consecutiveFailures: 2, maxOpenFor: 6000, ramp: 500 },
    everyMillis: 1000,
    until: 16_000
  }

  const smaller: Sizes = {
    outage: { from: 1900, to: 4500 },
    breaker: { consecutiveFailures: 2, maxOpenFor: 3000, ramp: 0 },
    everyMillis: 1500,
    until: 10_000
  }

  it.simulate(
    "recover within an open period and the ramp, whoever is killed and whatever the store does",
    fleet("killed", small, { kills: 1, processes: 3 }),
    Mode.exhaustive({ deviations: 1 }),
    120_000
  )

  it.simulate(
    "do so when two of these befall two of them",
    fleet("two", smaller, { kills: 1, processes: 2 }),
    Mode.exhaustive({ deviations: 2 }),
    120_000
  )

  it.simulate(
    "do so whatever the store does twice",
    fleet("store", smaller, { kills: 0, processes: 3 }),
    Mode.exhaustive({ deviations: 2 }),
    120_000
  )
})
