/** Batches over the real client and a faulty network: judged by what the provider did. */
import { assert, describe, it as plain } from "@effect/vitest"
import type { Batch } from "@breakwater/core"
import { Fault, FaultMenu, Mode, Simulation, Vitest } from "@breakwater/testkit"
import type { SimulatedProvider } from "@breakwater/testkit"
import { Effect, Result } from "effect"
import type { Way } from "../support/Bulk.ts"
import { batchOf, layer, simulated, ways } from "../support/Bulk.ts"

const it = Vitest.extend(plain)

const faults = [
  Fault.refused,
  Fault.lostResponse,
  Fault.status(503),
  Fault.crash({ processed: true }),
  Fault.rateLimited()
]

const orders = ["o1", "o2", "x3", "o4"]

type Results = ReadonlyArray<Result.Result<string, Batch.ItemError>>

interface World {
  readonly provider: SimulatedProvider.SimulatedProvider
  readonly results: Array<Results>
}

const wrong = ({ provider, results: [results] }: World): string | undefined => {
  if (results?.length !== orders.length) return `${results?.length ?? 0} results for ${orders.length} orders`
  for (const [index, order] of orders.entries()) {
    const times = provider.ledger.byMetadata("order", order).length
    const result = results[index]
    if (result === undefined) return `${order} has no result`
    if (times > 1) return `${order} was done ${times} times`
    if (Result.isSuccess(result) && (result.success !== order || times !== 1))
      return `${order} was told to be ${result.success}, and was done ${times} times`
    if (Result.isFailure(result) && result.failure._tag !== "ItemUnknown" && times > 0)
      return `${order} was done, and is ${result.failure._tag}`
  }
  return undefined
}

const sending = (way: Way, careless = false) =>
  Simulation.make({
    name: `a batch ${way}`,
    world: Effect.map(simulated, (provider): World => ({ provider, results: [] })),
    program: ({ provider, results }: World) =>
      Effect.gen(function* () {
        const batch = yield* batchOf(way, careless)
        results.push(yield* batch.run(orders.map((id) => ({ id }))))
      }).pipe(Effect.provide(layer(provider, FaultMenu.make(faults)))),
    invariant: ({ world }) => wrong(world),
    sometimes: {
      "all is done": ({ world }) => world.provider.ledger.entries.length === 3,
      "an order is unknown": ({ world }) =>
        world.results.flat().some((each) => Result.isFailure(each) && each.failure._tag === "ItemUnknown")
    }
  })

describe("A batch, whatever goes wrong twice", () => {
  for (const way of ways)
    it.simulate(`does no order twice, and tells what is so: ${way}`, sending(way), Mode.exhaustive({ deviations: 2 }))

  it("does one twice when it says that sending it again is harmless, and it is not", () => {
    const [failure] = Simulation.check(sending("plain", true), Mode.exhaustive({ deviations: 1 })).failures

    assert.deepStrictEqual(
      [failure?.message, failure?.plan?.decisions.map(({ choice }) => choice)],
      ["o1 was done 2 times", ["lost response"]]
    )
  })
})
