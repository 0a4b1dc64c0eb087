import { Clock, Effect, Exit, Fiber } from "effect"
import { assert, describe, it } from "@effect/vitest"
import { Capacity, SimulatedNetwork, Simulation } from "@breakwater/testkit"
import * as Wallet from "./support/Wallet.ts"

const result = <A, E>(program: Parameters<typeof Simulation.run<A, E>>[0]): A => {
  const { outcome } = Simulation.run(program)
  if (outcome._tag !== "Completed" || Exit.isFailure(outcome.exit)) throw new Error(JSON.stringify(outcome))
  return outcome.exit.value
}

/** When each of so many requests at once is done, in milliseconds; `refused` where there was no room. */
const times = (options: Capacity.Options, requests: number) =>
  result(
    Effect.gen(function* () {
      const capacity = yield* Capacity.make(options)
      const startedAt = yield* Clock.currentTimeMillis
      const one = Effect.matchEffect(capacity.request, {
        onSuccess: () => Effect.map(Clock.currentTimeMillis, (now): number | string => now - startedAt),
        onFailure: ({ message }) => Effect.succeed(message)
      })
      const ended = yield* Effect.all(
        Array.from({ length: requests }, () => one),
        { concurrency: "unbounded" }
      )
      return { ended, counts: capacity.counts() }
    })
  )

describe("Capacity.make", () => {
  it("works on as many requests at once as there are workers, the others in turn", () => {
    assert.deepStrictEqual(times({ workers: 2, service: "10 millis" }, 5), {
      ended: [10, 10, 20, 20, 30],
      counts: { arrived: 5, refused: 0, done: 5 }
    })
  })

  it("refuses what has no room in the line", () => {
    assert.deepStrictEqual(times({ workers: 1, service: "10 millis", queue: 1 }, 3), {
      ended: [10, 20, "overloaded"],
      counts: { arrived: 3, refused: 1, done: 2 }
    })
  })

  it("takes the time that follows from the load when service begins", () => {
    const service = ({ active, at, waiting }: Capacity.Load) => active * 10 + waiting + at

    assert.deepStrictEqual(times({ workers: 1, service }, 3).ended, [10, 31, 72])
  })

  it("keeps order in a long line", () => {
    const { ended } = times({ workers: 1, service: "1 millis" }, 5000)

    assert.deepStrictEqual(
      ended,
      Array.from({ length: 5000 }, (_, index) => index + 1)
    )
  })

  it("goes on with the work of a client that left", () => {
    const counts = result(
      Effect.gen(function* () {
        const capacity = yield* Capacity.make({ workers: 1, service: "1 second" })
        const clients = yield* Effect.forkChild(Effect.all([capacity.request, capacity.request], { concurrency: 2 }))
        yield* Effect.sleep("500 millis")
        yield* Fiber.interrupt(clients)
        const before = capacity.counts()
        yield* Effect.sleep("2 seconds")
        return [before, capacity.counts()]
      })
    )

    assert.deepStrictEqual(counts, [
      { arrived: 2, refused: 0, done: 0 },
      { arrived: 2, refused: 0, done: 2 }
    ])
  })

  it("stands before the endpoints of a simulated provider, which says 503 when it is full", () => {
    const statuses = result(
      Effect.gen(function* () {
        const capacity = yield* Capacity.make({ workers: 1, service: "1 second", queue: 1 })
        const provider = yield* Wallet.make({ parts: [capacity.part] })
        const client = yield* SimulatedNetwork.client([provider])
        const get = Effect.map(client.get("https://sandbox.wallet.test/deposits/d1"), ({ status }) => status)
        return yield* Effect.all([get, get, get], { concurrency: "unbounded" })
      })
    )

    assert.deepStrictEqual(statuses, [200, 200, 503])
  })

  it("gives the place of one that was interrupted in the line to the next", () => {
    const done = result(
      Effect.gen(function* () {
        const capacity = yield* Capacity.make({ workers: 1, service: "1 second" })
        const arrive = capacity.part(() =>
          Effect.succeed({ status: 200, headers: {}, body: new Uint8Array(0), executed: true })
        )
        const one = arrive(Wallet.deposit(1))
        const first = yield* Effect.forkChild(one, { startImmediately: true })
        const second = yield* Effect.forkChild(one, { startImmediately: true })
        const third = yield* Effect.forkChild(one, { startImmediately: true })
        yield* Fiber.interrupt(second)
        yield* Fiber.interrupt(first)
        yield* Fiber.join(third)
        return [capacity.counts(), yield* Clock.currentTimeMillis]
      })
    )

    assert.deepStrictEqual(done, [{ arrived: 3, refused: 0, done: 1 }, 1_767_225_601_000])
  })

  it("refuses sizes that are none", () => {
    const make = (options: Partial<Capacity.Options>) => () =>
      Effect.runSync(Effect.scoped(Capacity.make({ workers: 1, service: 0, ...options })))

    assert.throws(make({ workers: 0 }), "Capacity.make: workers must be a whole number from 1, got 0")
    assert.throws(make({ queue: -1 }), "Capacity.make: queue must be a whole number from 0, got -1")
  })
})

describe("Capacity.brownOut", () => {
  it("is slower from its beginning up to its end", () => {
    const service = Capacity.brownOut("10 millis", { from: "1 second", lasts: "1 second", factor: 5 })
    const at = (at: number) => String(service({ at, active: 1, waiting: 0 }))

    assert.deepStrictEqual(
      [at(999), at(1000), at(1999), at(2000)],
      ["10 millis", "50 millis", "50 millis", "10 millis"]
    )
  })
})
