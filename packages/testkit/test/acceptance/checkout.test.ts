/** What the testkit is for: for every plan of at most two faults, nobody is charged twice, no payment is lost, and nothing hangs. */
import { assert, describe, it } from "@effect/vitest"
import { Stripe } from "@breakwater/providers/stripe"
import { Drift, FaultMenu, Mode, Simulation } from "@breakwater/testkit"
import { checkout, faults } from "../support/Checkout.ts"

/** Proves a case, and says how large the proof was. */
const proved = (of: ReturnType<typeof checkout>, mode: Mode.Mode) => {
  const before = performance.now()
  const outcome = Simulation.verify(of, mode)
  const seconds = (performance.now() - before) / 1000
  process.stdout.write(`checkout: ${Simulation.summary(outcome)}, ${seconds.toFixed(1)} s\n`)
  return outcome
}

const careful = checkout({ looks: "in doubt, and when the key expires" })

describe("three orders charged at once", () => {
  it("knows at least 18 kinds of fault", () => {
    assert.isAtLeast(new Set(faults.map(({ name }) => name)).size, 18)
  })

  it("charges each once, and says so, under any two decisions", () => {
    const outcome = proved(careful, Mode.exhaustive({ deviations: 2, preemption: "wakeups" }))

    assert.isTrue(outcome.exhausted)
    assert.isAbove(outcome.plans, 2000)
  }, 120_000)

  it("charges each once under any one decision, such as being overtaken before any operation", () => {
    const outcome = proved(careful, Mode.exhaustive({ deviations: 1, preemption: "every-op" }))

    assert.isTrue(outcome.exhausted)
    assert.isAbove(outcome.plans, 500)
  }, 120_000)
})

describe("a provider that changes its answers without telling", () => {
  it("is charged once for each order all the same, whichever place has drifted", () => {
    const drifting = checkout({
      looks: "in doubt, and when the key expires",
      plan: FaultMenu.make(Drift.of(Stripe.provider))
    })
    const outcome = proved(drifting, Mode.exhaustive({ deviations: 1 }))

    assert.isTrue(outcome.exhausted)
    assert.isAbove(outcome.plans, 50)
  }, 60_000)
})

describe("a shop that does not look", () => {
  const found = (of: ReturnType<typeof checkout>, deviations: number) => {
    const [failure] = Simulation.check(of, Mode.exhaustive({ deviations })).failures
    return [failure?.message, failure?.plan?.decisions.map(({ choice }) => choice)]
  }

  it("asks with its key until Stripe has forgotten it, and charges again", () => {
    assert.deepStrictEqual(found(checkout({ looks: "never" }), 1), [
      "order o1 was charged 2 times",
      ["crash 500, processed"]
    ])
  }, 60_000)

  it("comes back with a key that has expired between two attempts, if it looks only when told of doubt", () => {
    assert.deepStrictEqual(found(checkout({ looks: "in doubt" }), 2), [
      "order o1 was charged 2 times",
      ["latency 12000 ms", "status 503 with Retry-After 86400 s"]
    ])
  }, 60_000)
})
