import { assert, describe, it } from "@effect/vitest"
import { Gauges } from "@breakwater/core"
import { Effect, Exit, Fiber, Layer, Metric, Scope } from "effect"
import { TestClock } from "effect/testing"
import * as Acme from "../support/Acme.ts"
import * as Fake from "../support/FakeTransport.ts"
import { inScenario, run } from "../support/Scenario.ts"

const order = { id: "o1", amount: 100 }
const params = { id: "o1" }

/** Every gauge but those of 0, by its name and what tells it from others of that. */
const shown = Effect.map(Metric.snapshot, (series) =>
  Object.fromEntries(
    series.flatMap(({ attributes = {}, id, state, type }) => {
      if (type !== "Gauge" || state.value === 0) return []
      const labels = Object.entries(attributes).filter(([name]) => name !== "unit" && name !== "breakwater.provider")
      return [[[id.replace("breakwater.", ""), ...labels.map(([, value]) => value)].join(" "), state.value]]
    })
  )
)

const quiet = {
  "breaker.circuits origin closed": 1,
  "breaker.circuits connection closed": 1,
  "retry.tokens": 500
}

const limited = Acme.variant({ rate: { limit: 10, window: "10 seconds", burst: 4 } })

describe("Gauges.layer (OBS-3)", () => {
  it.effect("shows circuits, slots, lines, limits and the retry budget of the connections, every so often", () =>
    inScenario(
      Effect.gen(function* () {
        const acme = yield* Acme.connectTo(
          limited,
          Fake.make((n) => (n === 1 ? Fake.json(order) : Fake.silent)),
          { policy: { bulkhead: { concurrency: 2 } } }
        )
        yield* Layer.build(Gauges.layer({ every: "5 seconds" }))
        yield* run(acme.orders.get({ params }), 0)
        const atFirst = yield* shown
        const calls = yield* Effect.forEach([1, 2, 3, 4, 5], () =>
          Effect.forkChild(acme.orders.get({ params }), { startImmediately: true })
        )
        yield* TestClock.adjust("4999 millis")
        const before = yield* shown
        yield* TestClock.adjust("1 millis")

        assert.deepStrictEqual([atFirst, before], [quiet, quiet])
        assert.deepStrictEqual(yield* shown, {
          ...quiet,
          "bulkhead.in_flight": 2,
          "call.waiting slot": 3,
          "rate.used default": 0.3
        })
        yield* Effect.forEach(calls, Fiber.interrupt)
      })
    )
  )

  it.effect("shows an open circuit, on both levels, and the origin's once however many connections there are", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make(() => Fake.empty(503))
        const policy = { attempts: 1, breaker: { consecutiveFailures: 1 } }
        const acme = yield* Acme.connect(transport, { policy })
        yield* Acme.connect(transport, { policy, connection: "tenant-2" })
        yield* run(acme.orders.get({ params }), 0)
        yield* Layer.build(Gauges.layer())
        yield* TestClock.adjust(0)

        assert.deepStrictEqual(yield* shown, {
          "breaker.circuits origin open": 1,
          "breaker.circuits connection closed": 1,
          "breaker.circuits connection open": 1,
          "retry.tokens": 500
        })
      })
    )
  )

  it.effect("goes back to 0 when the connections are closed, and stops with its scope", () =>
    inScenario(
      Effect.gen(function* () {
        const ofAcme = yield* Scope.make()
        yield* Scope.provide(Acme.connect(Fake.make([])), ofAcme)
        const ofGauges = yield* Scope.make()
        yield* Layer.buildWithScope(Gauges.layer(), ofGauges)
        yield* TestClock.adjust(0)
        const open = yield* shown
        yield* Scope.close(ofAcme, Exit.void)
        yield* TestClock.adjust("10 seconds")
        const closed = yield* shown
        yield* Scope.close(ofGauges, Exit.void)
        yield* Acme.connect(Fake.make([]))
        yield* TestClock.adjust("1 minute")

        assert.deepStrictEqual([open, closed, yield* shown], [quiet, {}, {}])
      })
    )
  )

  it("refuses a time that is not more than zero", () => {
    assert.throws(() => Gauges.layer({ every: 0 }), RangeError, "every must be more than zero, got 0")
  })
})
