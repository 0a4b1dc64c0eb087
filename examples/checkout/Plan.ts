/** What goes wrong at the provider, decided by the seed alone: lost responses, bursts of 429, an outage of two seconds, malformed bodies. */
import * as Fault from "@breakwater/testkit/Fault"
import * as FaultPlan from "@breakwater/testkit/FaultPlan"
import * as Hint from "@breakwater/testkit/Hint"

/** A small generator for the plan's own draws (mulberry32). */
const draws = (seed: number) => {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

export const make = (seed: number, seconds: number): FaultPlan.FaultPlan => {
  const draw = draws(seed)
  const at = (from: number, to: number) => Math.round((from + draw() * (to - from)) * seconds * 100)
  const outage = at(3, 5)
  const bursts = [at(0.5, 2), at(7, 8), at(8, 9)]
  const span = (from: number, millis: number) => ({ from, to: from + millis })
  const always = FaultPlan.seeded({
    seed,
    faults: [
      { share: 0.04, fault: Fault.lostResponse },
      { share: 0.02, fault: Fault.garbage },
      { share: 0.01, fault: Fault.truncated(0.5) },
      { share: 0.02, fault: Fault.status(503) },
      { share: 0.4, fault: Fault.latency("30 millis") }
    ]
  })
  const throttled = FaultPlan.always(Fault.rateLimited(Hint.seconds(1)))
  return bursts
    .map((burst) => FaultPlan.during(span(burst, 400), throttled))
    .concat(always)
    .reduce((plan, next) => FaultPlan.orElse(plan, next), FaultPlan.outage(span(outage, 2000), Fault.resetBefore))
}

/** The orders of a seed: one card in twenty will be declined. */
export const orders = (seed: number, count: number) => {
  const draw = draws(seed ^ 0x5eed)
  return Array.from({ length: count }, (_, index) => ({
    id: `${seed}-${index + 1}`,
    amountCents: 100 + Math.floor(draw() * 20_000),
    card: draw() < 0.05 ? ("declined" as const) : ("good" as const)
  }))
}
