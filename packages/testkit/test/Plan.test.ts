import { assert, describe, it } from "@effect/vitest"
import { Effect, Result } from "effect"
import { Mode, Plan, Simulation } from "@breakwater/testkit"
import { only, paying, twoDeliveries } from "./support/Cases.ts"

const doubleCharge = paying({ keyed: false, attempts: 2, faults: ["refused", "lost"], fails: (charges) => charges > 1 })

const planOf = (outcome: Simulation.Outcome): Plan.Plan =>
  outcome.failures[0]?.plan ?? assert.fail(Simulation.summary(outcome))

const found = planOf(Simulation.check(doubleCharge, Mode.exhaustive({ deviations: 1 })))

const replayed = <W, A, E>(
  of: Parameters<typeof Simulation.check<W, A, E, void>>[0],
  plan: Plan.Plan | string,
  options?: Mode.ReplayOptions
) => Simulation.check(of, Mode.replay(plan, options)).failures.map(({ message }) => message)

describe("Plan.parse", () => {
  it("reads what was written", () => {
    assert.deepStrictEqual(Plan.parse(Plan.stringify(found)), Result.succeed(found))
  })

  it("refuses what is no plan", () => {
    for (const text of [
      "",
      "{}",
      "[]",
      JSON.stringify({ ...found, decisions: [{ key: "no occurrence", choice: "lost" }] })
    ]) {
      const refused = Plan.parse(text)
      assert.isTrue(Result.isFailure(refused))
      if (Result.isFailure(refused))
        assert.match(refused.failure.message, /^the plan cannot be replayed: it is no plan: /u)
    }
  })
})

describe("Plan.inWords", () => {
  it("tells faults, wakeups and preemptions", () => {
    const words = [
      { key: "stripe POST /v1/charges order/1#0", choice: "lost response" },
      { key: "wake main.0.1#2", choice: "after the others" },
      { key: "preempt main.0#10", choice: "others first" },
      { key: "clock#21", choice: "skewed" }
    ].map(Plan.inWords)

    assert.deepStrictEqual(words, [
      "1st stripe POST /v1/charges order/1: lost response",
      "what fiber main.0.1 set going waits for the others, the 3rd time",
      "fiber main.0 lets the others run before its 11th operation",
      "22nd clock: skewed"
    ])
  })
})

describe("Mode.replay", () => {
  it("fails again, by the plan and by its text", () => {
    assert.deepStrictEqual(replayed(doubleCharge, found), ["charged 2 times"])
    assert.deepStrictEqual(replayed(doubleCharge, Plan.stringify(found)), ["charged 2 times"])
  })

  it("passes once the bug is repaired behind the decision", () => {
    const repaired = paying({ keyed: true, attempts: 2, faults: ["refused", "lost"], fails: (charges) => charges > 1 })

    assert.deepStrictEqual(replayed(repaired, found), [])
  })

  it("means the same after the menu was edited, as long as the choice is there", () => {
    const more = paying({
      keyed: false,
      attempts: 2,
      faults: ["slow", "lost", "garbage", "refused"],
      fails: (charges) => charges > 1
    })
    const fewer = paying({ keyed: false, attempts: 2, faults: ["refused"], fails: (charges) => charges > 1 })

    assert.deepStrictEqual(replayed(more, found), ["charged 2 times"])
    assert.deepStrictEqual(replayed(fewer, found), [
      `the plan cannot be replayed: "lost" is no choice of exchange order-1#0, which has "none", "refused"`
    ])
  })

  it("refuses a plan for another case, another kernel, another version", () => {
    const again = `search again, or replay it with { stale: "ignore" }`

    assert.deepStrictEqual(replayed(only(Effect.void), found), [
      `the plan cannot be replayed: it is for the case "paying", not for "only"`
    ])
    assert.deepStrictEqual(replayed(doubleCharge, { ...found, kernel: 0 }), [
      "the plan cannot be replayed: it was written by kernel version 0, and this one is 1: search again"
    ])
    const [message = ""] = replayed({ ...doubleCharge, version: "2" }, found)
    assert.match(
      message,
      /^the plan cannot be replayed: the code before its last decision has changed since it was found \(\w{8} then, \w{8} now\), so it would strike elsewhere; /u
    )
    assert.isTrue(message.endsWith(again))
    assert.deepStrictEqual(replayed({ ...doubleCharge, version: "2" }, found, { stale: "ignore" }), ["charged 2 times"])
  })

  it("refuses a plan whose questions are not asked any more, or after others", () => {
    const unasked = { ...found, decisions: [{ key: "exchange order-1#7", choice: "lost" }] }
    const another = {
      ...doubleCharge,
      world: Effect.andThen(Simulation.choose("exchange order-0", ["none", "lost"]), doubleCharge.world)
    }

    assert.match(
      replayed(doubleCharge, unasked)[0] ?? "",
      /the run never asks for exchange order-1#7, so the plan is for other code/u
    )
    assert.match(replayed(another, found)[0] ?? "", /the code before its last decision has changed/u)
  })

  it("refuses a preemption once there is another operation before it, but a fault never for that", () => {
    const racing = twoDeliveries("checked")
    const preempted = planOf(Simulation.check(racing, Mode.exhaustive({ deviations: 1, preemption: "every-op" })))
    const busier = {
      ...racing,
      world: Effect.andThen(Effect.all([Effect.yieldNow, Effect.yieldNow], { concurrency: 2 }), racing.world)
    }
    const slower = {
      ...doubleCharge,
      world: Effect.andThen(Effect.all([Effect.yieldNow, Effect.yieldNow], { concurrency: 2 }), doubleCharge.world)
    }

    assert.deepStrictEqual(replayed(racing, preempted), ["charged 2 times"])
    assert.match(replayed(busier, preempted)[0] ?? "", /^the plan cannot be replayed: /u)
    assert.deepStrictEqual(replayed(slower, found), ["charged 2 times"])
  })
})
