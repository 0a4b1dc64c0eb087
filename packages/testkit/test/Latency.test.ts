import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect } from "effect"
import { HttpClient } from "effect/http"
import { Fault, FaultPlan, Latency, SimulatedNetwork, Simulation } from "@breakwater/testkit"
import * as Wallet from "./support/Wallet.ts"

/** A grid of draws, so that figures are exact enough without chance. */
const grid = Array.from({ length: 100 }, (_, first) =>
  Array.from({ length: 100 }, (_, second) => [(first + 0.5) / 100, (second + 0.5) / 100] as const)
).flat()

const figures = (latency: Latency.Latency) => {
  const drawn = grid.map(([first, second]) => Latency.sample(latency, first, second)).toSorted((a, b) => a - b)
  const mean = drawn.reduce((sum, millis) => sum + millis, 0) / drawn.length
  return { least: drawn[0] ?? 0, median: drawn[drawn.length / 2] ?? 0, most: drawn.at(-1) ?? 0, mean }
}

/** How long a GET takes under a plan, and another after it. */
const twoLatencies = (seed: number, plan: FaultPlan.FaultPlan) => {
  const program = Effect.gen(function* () {
    const wallet = yield* Wallet.make()
    const client = yield* SimulatedNetwork.client([wallet], { plan })
    const timed = Effect.gen(function* () {
      const before = yield* Clock.currentTimeMillis
      yield* HttpClient.get("https://sandbox.wallet.test/deposits/d1").pipe(
        Effect.provideService(HttpClient.HttpClient, client)
      )
      return (yield* Clock.currentTimeMillis) - before
    })
    return [yield* timed, yield* timed]
  })
  const { outcome } = Simulation.run(program, { seed })
  return outcome._tag === "Completed" && outcome.exit._tag === "Success"
    ? outcome.exit.value
    : assert.fail(outcome._tag)
}

describe("Latency.sample", () => {
  it("has the figures of its distribution", () => {
    const uniform = figures(Latency.uniform({ from: 100, to: 300 }))
    const normal = figures(Latency.normal({ mean: 500, deviation: 50 }))
    const logNormal = figures(Latency.logNormal({ median: 200, sigma: 0.5 }))
    const pareto = figures(Latency.pareto({ least: 100, shape: 2 }))

    assert.deepStrictEqual([uniform.least, Math.round(uniform.mean), uniform.most], [101, 200, 299])
    assert.deepStrictEqual([Math.round(normal.mean), Math.round(normal.median)], [500, 500])
    assert.approximately(logNormal.median, 200, 5)
    assert.approximately(logNormal.mean, 200 * Math.exp(0.125), 5)
    assert.approximately(pareto.median, 100 * Math.SQRT2, 2)
    assert.isAtLeast(pareto.least, 100)
    assert.isAbove(pareto.most, 1000)
  })

  it("is never negative, and never longer than a timer can be set", () => {
    assert.strictEqual(figures(Latency.normal({ mean: 0, deviation: 50 })).least, 0)
    assert.strictEqual(Latency.sample(Latency.pareto({ least: 100, shape: 0.01 }), 0.999, 0), Latency.maxMillis)
  })

  it("refuses figures that mean nothing", () => {
    assert.throws(() => Latency.uniform({ from: 5, to: 5 }), RangeError, "Latency.uniform: to − from")
    assert.throws(() => Latency.normal({ mean: 5, deviation: 0 }), RangeError, "deviation")
    assert.throws(() => Latency.logNormal({ median: 5, sigma: Number.NaN }), RangeError, "sigma")
    assert.throws(() => Latency.pareto({ least: 5, shape: -1 }), RangeError, "shape")
  })
})

describe("Fault.latencyOf", () => {
  const plan = FaultPlan.always(Fault.latencyOf(Latency.logNormal({ median: "200 millis" })))

  it("draws anew for each exchange, from the seed of the simulation", () => {
    const [first, second] = twoLatencies(1, plan)

    assert.notStrictEqual(first, second)
    assert.deepStrictEqual(twoLatencies(1, plan), [first, second])
    assert.notDeepEqual(twoLatencies(2, plan), [first, second])
  })
})
