/** Finding out what became of a write, under every plan of at most two faults or kills: nobody is sent two e-mails, and nobody none. */
import { assert, describe, it } from "@effect/vitest"
import { Mode, Simulation } from "@breakwater/testkit"
import { letters } from "../support/Letters.ts"

const found = (of: ReturnType<typeof letters>, deviations: number) => {
  const [failure] = Simulation.check(of, Mode.exhaustive({ deviations })).failures
  return [failure?.message, failure?.plan?.decisions.map(({ choice }) => choice)]
}

describe("an e-mail in doubt, looked for by another process", () => {
  it("is sent once, whichever process is killed where, and whatever befalls the network", () => {
    const before = performance.now()
    const outcome = Simulation.verify(letters({ lag: "10 minutes" }), Mode.exhaustive({ deviations: 2 }))
    const seconds = (performance.now() - before) / 1000
    process.stdout.write(`resolution: ${Simulation.summary(outcome)}, ${seconds.toFixed(1)} s\n`)

    assert.isTrue(outcome.exhausted)
    assert.isAbove(outcome.plans, 300)
  }, 300_000)
})

describe("a look-up that is wrong", () => {
  it("is found out, if it overlooks what is there", () => {
    assert.deepStrictEqual(found(letters({ lag: "1 minute", match: () => false }), 1), [
      "the customer was sent 2 e-mails",
      ["latency 12000 ms"]
    ])
  }, 60_000)

  it("is found out, if it takes anything for the e-mail", () => {
    assert.deepStrictEqual(found(letters({ lag: "1 minute", match: () => true }), 1), [
      "no e-mail was sent, and the shop was told that it was",
      ["killed"]
    ])
  }, 60_000)

  it("is found out, if what it asks lags behind for longer than it waits", () => {
    assert.deepStrictEqual(found(letters({ lag: "40 minutes", every: "20 minutes" }), 2), [
      "the customer was sent 2 e-mails",
      ["latency 12000 ms", "behind"]
    ])
  }, 120_000)
})
