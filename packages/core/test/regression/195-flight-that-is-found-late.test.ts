/** A flight was found by others only after it had begun: who asked in between made a call of its own, and who joined one that was being left was interrupted with it. */
import { describe, it as plain } from "@effect/vitest"
import { Mode, Simulation, Vitest } from "@breakwater/testkit"
import { Effect, Fiber } from "effect"
import * as Acme from "../support/Acme.ts"
import * as Fake from "../support/FakeTransport.ts"

const it = Vitest.extend(plain)

const order = { id: "o1", amount: 1 }

/** Two ask for the same at once; the first may leave. */
const two = (leaves: boolean) =>
  Simulation.make({
    world: Effect.sync(() => ({
      transport: Fake.make([Fake.late(1000, Fake.json(order))]),
      given: [] as Array<string>
    })),
    program: ({ given, transport }) =>
      Effect.gen(function* () {
        const acme = yield* Acme.connect(transport, { policy: { coalesce: true } })
        const get = Effect.exit(acme.orders.get({ params: { id: "o1" } }))
        const [first, second] = [yield* Effect.forkChild(get), yield* Effect.forkChild(get)]
        if (leaves) yield* Fiber.interrupt(first)
        const exit = yield* Fiber.join(second)
        given.push(exit._tag)
      }).pipe(Effect.scoped, Effect.orDie),
    invariant: ({ world: { given, transport } }) => {
      if (given[0] !== "Success") return `the second was given ${given.join()}`
      return leaves || transport.sent.length === 1 ? undefined : `asked ${transport.sent.length} times`
    }
  })

describe("a flight", () => {
  it.simulate("is one, whoever overtakes whom", two(false), Mode.exhaustive({ deviations: 1, preemption: "every-op" }))
  it.simulate("is not lost to who stays", two(true), Mode.random({ runs: 300, preemption: "every-op" }))
})
