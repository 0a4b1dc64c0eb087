import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Ref, Schema } from "effect"
import { stat } from "node:fs/promises"
import { Mode, Simulation } from "@breakwater/testkit"
import { only, paying, twoDeliveries } from "./support/Cases.ts"

const failureOf = (outcome: Simulation.Outcome) => {
  const [failure, ...others] = outcome.failures
  assert.deepStrictEqual(others, [])
  return failure ?? assert.fail(Simulation.summary(outcome))
}

describe("Simulation.check", () => {
  it("finds a claim that is checked before it is made, with one decision, and shows it", () => {
    const outcome = Simulation.check(
      twoDeliveries("checked"),
      Mode.exhaustive({ deviations: 1, preemption: "every-op" })
    )
    const failure = failureOf(outcome)

    assert.deepStrictEqual([failure.kind, failure.message], ["invariant", "charged 2 times"])
    assert.strictEqual(failure.plan?.decisions.length, 1)
    assert.isFalse(outcome.exhausted)
    assert.match(failure.plan?.decisions[0]?.key ?? "", /^preempt main\.0\.\d#\d+$/u)
  })

  it("does not find it at wakeups, where the claim cannot be overtaken", () => {
    assert.strictEqual(Simulation.check(twoDeliveries("checked"), Mode.exhaustive({ deviations: 2 })).exhausted, true)
  })

  it("finds it at wakeups once the store is asynchronous", () => {
    const failure = failureOf(
      Simulation.check(twoDeliveries("checked over a network"), Mode.exhaustive({ deviations: 1 }))
    )

    assert.deepStrictEqual([failure.message, failure.plan?.decisions], ["charged 2 times", []])
  })

  it("exhausts the atomic claim at two decisions, before any operation", () => {
    const outcome = Simulation.check(
      twoDeliveries("atomic"),
      Mode.exhaustive({ deviations: 2, preemption: "every-op" })
    )

    assert.deepStrictEqual([outcome.failures, outcome.exhausted, outcome.limit], [[], true, undefined])
    assert.isAbove(outcome.plans, 100)
    assert.match(Simulation.summary(outcome), /^exhausted: no plan fails \([\d,]+ plans, [\d,]+ runs\)$/u)
  })

  it("finds it at random, and shrinks it to one decision", () => {
    for (const seed of [1, 2, 3]) {
      const random = Mode.random({ seed, preemptRate: 0.3 })
      const failure = failureOf(Simulation.check(twoDeliveries("checked"), random))

      assert.strictEqual(failure.plan?.decisions.length, 1)
    }
  })

  it("finds the two faults that it takes, and says that one does not do", () => {
    const two = paying({ keyed: false, attempts: 2, faults: ["lost", "refused"], fails: (charges) => charges > 1 })
    const one = Simulation.check(
      paying({ keyed: true, attempts: 3, faults: ["lost", "refused"], fails: (charges) => charges !== 1 }),
      Mode.exhaustive({ deviations: 2 })
    )
    const three = Simulation.check(
      paying({ keyed: true, attempts: 3, faults: ["lost", "refused"], fails: (charges) => charges !== 1 }),
      Mode.exhaustive({ deviations: 3 })
    )

    assert.deepStrictEqual(failureOf(Simulation.check(two, Mode.exhaustive({ deviations: 2 }))).plan?.decisions, [
      { key: "exchange order-1#0", choice: "lost" }
    ])
    assert.isTrue(one.exhausted)
    assert.strictEqual(failureOf(three).plan?.decisions.length, 3)
  })

  it("takes the first choice of a menu with which a plan fails", () => {
    const faults = ["slow", "lost", "lost and slow", "lost again"]
    const of = paying({ keyed: false, attempts: 2, faults, fails: (charges) => charges > 1 })

    assert.deepStrictEqual(failureOf(Simulation.check(of, Mode.random({ faultRate: 0.9, seed: 4 }))).plan?.decisions, [
      { key: "exchange order-1#0", choice: "lost" }
    ])
  })

  it("does not call a search exhausted that gave up", () => {
    const outcome = Simulation.check(
      twoDeliveries("atomic"),
      Mode.exhaustive({ deviations: 2, preemption: "every-op", maxPlans: 50 })
    )

    assert.deepStrictEqual([outcome.exhausted, outcome.limit, outcome.plans], [false, "it gave up after 50 plans", 50])
    assert.match(Simulation.summary(outcome), /^passed, not exhausted: it gave up after 50 plans/u)
  })

  it("finds all failures it is asked for", () => {
    const of = paying({ keyed: false, attempts: 2, faults: ["lost", "lost and slow"], fails: (charges) => charges > 1 })
    const outcome = Simulation.check(of, Mode.exhaustive({ deviations: 1, maxFailures: 10 }))

    assert.deepStrictEqual(
      outcome.failures.map(({ message }) => message),
      ["charged 2 times", "charged 2 times"]
    )
    assert.isFalse(outcome.exhausted)
  })

  it("says what hangs, what does not come to rest or to an end, and what dies", () => {
    const kindOf = (program: Effect.Effect<unknown>) => {
      const failure = failureOf(
        Simulation.check(
          { ...only(program), maxSteps: 100_000, timeLimit: "1 day" },
          Mode.exhaustive({ deviations: 0 })
        )
      )
      return [failure.kind, failure.message]
    }

    assert.deepStrictEqual(kindOf(Effect.andThen(Effect.sleep("1 second"), Effect.never)), [
      "deadlock",
      "it hangs at +1000 ms: nothing is ready, no timer is set, and no callback comes from outside; fiber main.0 ran last"
    ])
    assert.deepStrictEqual(kindOf(Effect.forever(Effect.void)), [
      "step limit",
      "it does not come to rest: too many operations by +0 ms; fiber main.0 ran last"
    ])
    assert.deepStrictEqual(kindOf(Effect.forever(Effect.sleep("1 day"))), [
      "time limit",
      "it does not come to an end: still running at +172800000 ms; fiber main.0 ran last"
    ])
    assert.deepStrictEqual(kindOf(Effect.die(new Error("out of cheese"))), [
      "defect",
      "the program died: out of cheese"
    ])
  })

  it("reports what leaves the simulation, and Effect.runPromise inside", () => {
    const failing = (program: Effect.Effect<unknown>) =>
      failureOf(Simulation.check(only(program), Mode.exhaustive({ deviations: 1 })))
    const now = failing(Effect.sync(() => Date.now()))
    const inside = failing(Effect.sync(() => void Effect.runPromise(Effect.sleep("1 second"))))

    assert.strictEqual(now.kind, "left the simulation")
    assert.match(now.message, /^Date\.now\(\) at .*Simulation\.test\.ts:\d+:\d+: it leaves the simulation/u)
    assert.match(
      inside.message,
      /^Effect\.runSync, runPromise or runFork at .*Simulation\.test\.ts:\d+:\d+: it leaves/u
    )
  })

  it("says in which line two runs of one plan differ", () => {
    let runs = 0
    const failure = failureOf(
      Simulation.check(only(Effect.suspend(() => Simulation.note(`run ${++runs}`))), Mode.exhaustive({ deviations: 1 }))
    )

    assert.strictEqual(failure.kind, "not deterministic")
    assert.match(
      failure.message,
      /^two runs of one plan differ in line 1 of their traces: "\+0 ms run \d", then "\+0 ms run \d"/u
    )
  })

  it("judges by what comes right once nothing bad happens any more", () => {
    const of = (recovers: boolean) =>
      Simulation.make({
        name: "outbox",
        world: Effect.gen(function* () {
          const world = { sent: false }
          const worker = Effect.gen(function* () {
            const fault = yield* Simulation.choose("send", ["none", "refused"])
            if (fault === "none") world.sent = true
          })
          yield* Effect.forkScoped(
            recovers ? Effect.forever(Effect.andThen(Effect.sleep("10 seconds"), worker)) : worker
          )
          return world
        }),
        program: () => Effect.sleep("25 seconds"),
        invariant: () => undefined,
        eventually: ({ world }) => (world.sent ? undefined : "it was never sent")
      })

    assert.isTrue(Simulation.check(of(true), Mode.exhaustive({ deviations: 4 })).exhausted)
    const failure = failureOf(Simulation.check(of(false), Mode.exhaustive({ deviations: 4 })))
    assert.deepStrictEqual(
      [failure.kind, failure.message, failure.plan?.decisions],
      ["eventually", "it was never sent", [{ key: "send#0", choice: "refused" }]]
    )
  })

  it("fails a suite that never meets the situations it claims to test", () => {
    const of = Simulation.make({
      ...only(
        Effect.flatMap(Simulation.choose("weather", ["fine", "storm"]), (weather) =>
          weather === "storm" ? Simulation.sometimes("a storm") : Effect.void
        )
      ),
      sometimes: { "a storm": Simulation.marked, "no storm": () => true }
    })
    const deep = Simulation.check(of, Mode.exhaustive({ deviations: 1 }))
    const failure = failureOf(Simulation.check(of, Mode.exhaustive({ deviations: 0 })))

    assert.deepStrictEqual(
      [failure.kind, failure.message],
      ["never met", `"a storm" came about in none of 2 runs, so the suite does not test it`]
    )
    assert.deepStrictEqual([deep.failures, deep.met.get("a storm") !== 0], [[], true])
  })

  it("refuses a mark that the case does not declare, and a label of the scheduler's", () => {
    const mark = failureOf(
      Simulation.check(
        { ...only(Simulation.sometimes("a strom")), sometimes: { "a storm": Simulation.marked } },
        Mode.exhaustive({ deviations: 0 })
      )
    )
    const label = failureOf(
      Simulation.check(only(Simulation.choose("wake up", ["no", "yes"])), Mode.exhaustive({ deviations: 0 }))
    )

    assert.strictEqual(
      mark.message,
      `Simulation.sometimes("a strom"): the case's \`sometimes\` does not declare it; it declares "a storm"`
    )
    assert.strictEqual(
      label.message,
      `the program died: Simulation.choose: labels that begin with "wake" are the kernel's, got "wake up"`
    )
  })

  it("takes inputs from their schema, and makes the one that fails small, plan and all", () => {
    const of = Simulation.make({
      name: "inputs",
      inputs: {
        schema: Schema.Struct({ amount: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1000 })) }),
        examples: [{ amount: 1 }]
      },
      world: Effect.sync(() => ({ charged: 0 })),
      program: (world, { amount }) =>
        Effect.map(Simulation.choose("send", ["none", "slow", "lost"]), (fault) => {
          world.charged = fault === "lost" ? amount * 2 : amount
        }),
      invariant: ({ input, world }) =>
        world.charged - input.amount > 50 ? `charged ${world.charged} for ${input.amount}` : undefined
    })
    const failure = failureOf(Simulation.check(of, Mode.random({ faultRate: 0.5 })))

    assert.deepStrictEqual(failure.plan?.input, { amount: 51 })
    assert.deepStrictEqual(failure.plan?.decisions, [{ key: "send#0", choice: "lost" }])
    assert.isTrue(Simulation.check(of, Mode.exhaustive({ deviations: 1 })).exhausted)
    assert.strictEqual(failureOf(Simulation.check(of, Mode.replay(failure.plan ?? ""))).message, failure.message)
  })

  it("fills decisions with numbers that do not depend on one another", () => {
    const drawn = (decisions: ReadonlyArray<string>) => {
      const { outcome } = Simulation.run(
        Effect.gen(function* () {
          if ((yield* Simulation.choose("a", ["none", "late"])) === "late") yield* Simulation.uniform("late a")
          return yield* Simulation.uniform("late b")
        }),
        { answers: { _tag: "Planned", decisions: decisions.map((key) => ({ key, choice: "late" })) } }
      )
      return outcome
    }

    assert.deepStrictEqual(drawn(["a#0"]), drawn([]))
  })

  it("chooses nothing bad outside a simulation", async () => {
    const program = Effect.all([
      Simulation.choose("weather", ["fine", "storm"]),
      Simulation.uniform("wind"),
      Simulation.sometimes("rain"),
      Simulation.note("dry")
    ])

    assert.deepStrictEqual(await Effect.runPromise(program), ["fine", 0, undefined, undefined])
  })

  it("refuses numbers that mean nothing", () => {
    assert.throws(
      () => Mode.exhaustive({ deviations: -1 }),
      RangeError,
      "Mode.exhaustive: deviations must be a whole number of at least 0, got -1"
    )
    assert.throws(() => Mode.exhaustive({ deviations: 1, maxPlans: 0.5 }), RangeError, "maxPlans")
    assert.throws(() => Mode.random({ faultRate: 2 }), RangeError, "Mode.random: faultRate must be from 0 to 1, got 2")
    assert.throws(() => Mode.random({ runs: 0 }), RangeError, "runs")
    assert.throws(
      () => Simulation.check({ ...only(Effect.void), external: "hold" }, Mode.random()),
      RangeError,
      "use checkPromise"
    )
  })
})

describe("Simulation.checkPromise", () => {
  it("searches a case that waits for promises", async () => {
    const of = Simulation.make({
      name: "files",
      external: "hold",
      world: Ref.make(0),
      program: (reads) => {
        const read = Effect.andThen(
          Effect.promise(() => stat("/")),
          Effect.flatMap(Ref.get(reads), (before) =>
            Effect.andThen(
              Effect.promise(async () => undefined),
              Ref.set(reads, before + 1)
            )
          )
        )
        return Effect.andThen(Effect.all([read, read], { concurrency: "unbounded" }), Ref.get(reads))
      },
      invariant: ({ exit }) => (exit._tag === "Success" && exit.value === 2 ? undefined : "an update was lost")
    })
    const outcome = await Simulation.checkPromise(of, Mode.exhaustive({ deviations: 1 }))

    assert.strictEqual(failureOf(outcome).message, "an update was lost")
  })
})

describe("Simulation.verify", () => {
  it("throws everything there is to say: message, plan in words, timeline, replay", () => {
    const of = paying({ keyed: false, attempts: 2, faults: ["lost"], fails: (charges) => charges > 1 })
    let message = ""
    try {
      Simulation.verify(of, Mode.exhaustive({ deviations: 1 }))
    } catch (error) {
      assert.instanceOf(error, Simulation.SimulationFailed)
      message = error.message
    }
    const plan = `{"kernel":1,"case":"paying","source":"${/"source":"(\w+)"/u.exec(message)?.[1]}","seed":0,"decisions":[{"key":"exchange order-1#0","choice":"lost"}]}`

    assert.deepStrictEqual(message.split("\n"), [
      "paying: charged 2 times",
      "",
      "plan: 1 decision",
      "  1. 1st exchange order-1: lost",
      "",
      "timeline:",
      "  virtual time  ledger          client",
      "  +0 ms                         ! 1st exchange order-1: lost",
      "  +0 ms         charge order-1",
      "  +0 ms                         attempt 1 failed",
      "  +1000 ms      charge order-1",
      "  +1000 ms                      the program succeeded",
      "",
      "replay:",
      `  BREAKWATER_PLAN='${plan}' npx vitest run -t 'paying'`,
      `  Simulation.verify(theCase, Mode.replay(${JSON.stringify(plan)}))`
    ])
  })

  it("gives back what it came to", () => {
    const { exhausted } = Simulation.verify(
      only(Effect.flatMap(Clock.currentTimeMillis, (now) => Effect.sleep(Duration.millis(now % 7)))),
      Mode.exhaustive({ deviations: 1 })
    )

    assert.isTrue(exhausted)
  })
})
