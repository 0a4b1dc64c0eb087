import { assert, describe, it } from "@effect/vitest"
import { Call, Health } from "@breakwater/core"
import { Connections } from "@breakwater/core/Connections"
import { Mode, Simulation } from "@breakwater/testkit"
import { Effect, Fiber } from "effect"

/** Two calls at one token a second; the second one is interrupted, at whatever of its steps. */
const joining = Simulation.make({
  name: "a call that joins the line for tokens",
  world: Effect.sync(() => ({ waiting: -1 })),
  program: (world) =>
    Effect.scoped(
      Effect.gen(function* () {
        const provider = yield* Call.connect({ provider: "wallet", rate: { limit: 1, window: "1 second" } })
        const call = Effect.exit(Call.protect(Effect.void, { provider, operation: "get", safety: "safe" }))
        yield* call
        const second = yield* Effect.forkChild(call)
        yield* Effect.sleep(0)
        yield* Fiber.interrupt(second)
        const { connections } = yield* Health.snapshot
        world.waiting = connections[0]?.rateBudget.waiting ?? -1
      })
    ).pipe(Effect.provideService(Connections, new Set())),
  invariant: ({ world: { waiting } }) => (waiting === 0 ? undefined : `${waiting} stand in line for ever`)
})

describe("a call that is interrupted between joining the line for tokens and waiting in it", () => {
  it("has left the line: otherwise all who come later would stand behind it for ever", () => {
    const found = Simulation.check(joining, Mode.exhaustive({ deviations: 1, preemption: "every-op" }))

    assert.deepStrictEqual(
      found.failures.map(({ message }) => message),
      []
    )
    assert.isTrue(found.exhausted)
  })
})
