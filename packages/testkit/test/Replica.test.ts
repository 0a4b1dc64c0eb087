import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Mode, Replica, Simulation } from "@breakwater/testkit"

const make = () => new Replica<number>({ name: "orders", lag: "1 second" })

describe("Replica, outside a simulation", () => {
  it("shows a write when the lag is over, and not before", () => {
    const replica = make()
    replica.set("a", 1, 0)

    assert.deepStrictEqual(
      [replica.get("a", 0), replica.get("a", 999), replica.get("a", 1000)],
      [undefined, undefined, 1]
    )
  })

  it("shows what was there until the lag of its deletion is over", () => {
    const replica = make()
    replica.set("a", 1, 0)
    replica.delete("a", 2000)

    assert.deepStrictEqual([replica.get("a", 2999), replica.get("a", 3000)], [1, undefined])
  })

  it("lists by when keys were first written, and each read as of its own time", () => {
    const replica = make()
    replica.set("a", 1, 0)
    replica.set("b", 2, 500)
    replica.set("a", 3, 600)

    assert.deepStrictEqual(
      [1000, 1500, 1600].map((now) => replica.values(now)),
      [[1], [1, 2], [3, 2]]
    )
  })
})

describe("Replica, in a simulation", () => {
  const reads = Simulation.make({
    world: Effect.sync(make),
    program: (replica) =>
      Effect.gen(function* () {
        yield* Effect.sync(() => replica.set("a", 1, 0))
        const one = replica.get("a", 1)
        if (one === undefined) yield* Simulation.sometimes("the read is behind")
        return [one, replica.values(1).length] as const
      }),
    invariant: ({ exit }) =>
      exit._tag === "Success" && exit.value[0] === 1 ? undefined : "does not read its own write",
    sometimes: { "the read is behind": Simulation.marked }
  })

  it("is fresh, unless the plan says that a read is behind", () => {
    const { failures } = Simulation.check(reads, Mode.exhaustive({ deviations: 1 }))

    assert.deepStrictEqual(failures[0]?.plan?.decisions, [{ key: "replica orders#0", choice: "behind" }])
    assert.strictEqual(Simulation.check(reads, Mode.exhaustive({ deviations: 0 })).failures[0]?.kind, "never met")
  })
})
