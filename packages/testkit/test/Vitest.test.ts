import { assert, describe, it as base } from "@effect/vitest"
import { Effect } from "effect"
import { stat } from "node:fs/promises"
import { Mode, Plan, Simulation, Vitest } from "@breakwater/testkit"
import { only, paying, twoDeliveries } from "./support/Cases.ts"

const it = Vitest.extend(base)

describe("it.simulate", () => {
  it.simulate("runs beside it.effect", twoDeliveries("atomic"), Mode.exhaustive({ deviations: 1 }))

  it.simulate(
    "waits for promises",
    { ...only(Effect.promise(() => stat("/"))), external: "hold" },
    Mode.exhaustive({ deviations: 1 })
  )

  it.effect("leaves it.effect as it is", () => Effect.sync(() => assert.isTrue(true)))

  it.simulate.skip("can be skipped", only(Effect.die("never run")), Mode.random())

  it("fails by what the search has found, and replays the plan of the environment", () => {
    const tests: Array<() => void | Promise<void>> = []
    const register = Object.assign((_name: string, test: () => void | Promise<void>) => void tests.push(test), {
      only: () => undefined,
      skip: () => undefined
    })
    const { name: _, ...unnamed } = paying({
      keyed: false,
      attempts: 2,
      faults: ["lost", "lost twice"],
      fails: (charges) => charges > 1
    })
    Vitest.extend(register).simulate("pays once", unnamed, Mode.exhaustive({ deviations: 1 }))
    const messageOf = () => {
      try {
        void tests[0]?.()
        return "passed"
      } catch (error) {
        return (error as Error).message
      }
    }
    const found = Simulation.check({ ...unnamed, name: "pays once" }, Mode.exhaustive({ deviations: 1 })).failures[0]
      ?.plan
    const other = { ...found, decisions: [{ key: "exchange order-1#0", choice: "lost twice" }] } as Plan.Plan

    assert.include(messageOf(), "1. 1st exchange order-1: lost\n")
    process.env[Vitest.planVariable] = Plan.stringify(other)
    assert.include(messageOf(), "1. 1st exchange order-1: lost twice\n")
    process.env[Vitest.planVariable] = Plan.stringify({ ...other, case: "another" })
    assert.include(messageOf(), "1. 1st exchange order-1: lost\n")
    process.env[Vitest.planVariable] = "{"
    assert.include(messageOf(), "the plan cannot be replayed: it is no plan")
    Reflect.deleteProperty(process.env, Vitest.planVariable)
  })
})
