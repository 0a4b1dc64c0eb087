/**
 * Plans at random, and inputs by Effect's `Arbitrary`: inputs outside, plans inside. @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { Case, Inputs } from "../Case.ts"
import { hashOfNumber } from "../kernel/Draw.ts"
import type { Random } from "../Mode.ts"
import { Arbitrary } from "../Platform.ts"
import type { Problem } from "./Judge.ts"
import type { Outcome } from "./Outcome.ts"
import * as Outcomes from "./Outcome.ts"
import { Search } from "./Search.ts"
import * as Shrink from "./Shrink.ts"

interface Found<I> {
  readonly failing: Shrink.Failing<I>
  readonly problem: Problem
}

/** The walk through plans: each run has a seed of its own. */
class Walk<W, A, E, I> {
  readonly search: Search<W, A, E, I>
  plans = 0
  private readonly mode: Random

  constructor(search: Search<W, A, E, I>, mode: Random) {
    this.search = search
    this.mode = mode
  }

  readonly step = (input: I): Effect.Effect<Found<I> | undefined> =>
    Effect.suspend(() => {
      const { faultRate, killRate, preemptRate, preemption } = this.mode
      const seed = hashOfNumber(this.plans++, this.mode.seed)
      const answers = { _tag: "Drawn", faultRate, preemptRate, killRate } as const
      const run = this.search.run({ answers, seed, input, preemption })
      return Effect.map(run, ({ problem, report }) => {
        if (problem === undefined) return undefined
        const decisions = report.taken.map(({ choice, key }) => ({ key, choice }))
        return { failing: { decisions, seed, input, preemption, kind: problem.kind }, problem }
      })
    })
}

/** Without inputs there is only the plan to vary. */
const plansOnly = Effect.fnUntraced(function* <W, A, E, I>(walk: Walk<W, A, E, I>, runs: number) {
  for (let run = 0; run < runs; run++) {
    const found = yield* walk.step(undefined as I)
    if (found !== undefined) return found
  }
  return undefined
})

/**
 * With inputs, `Arbitrary` makes and shrinks them. Once one has failed, its plan is made minimal, and smaller inputs are tried under that same plan: its keys name the same
 * questions there, where they come up at all.
 */
const withInputs = Effect.fnUntraced(function* <W, A, E, I>(walk: Walk<W, A, E, I>, inputs: Inputs<I>, mode: Random) {
  let found: Found<I> | undefined
  const property = Effect.fnUntraced(function* (input: I) {
    if (found === undefined) {
      const first = yield* walk.step(input)
      if (first !== undefined) found = { ...first, failing: yield* Shrink.minimal(walk.search, first.failing) }
      return first === undefined
    }
    const failing: Shrink.Failing<I> = { ...found.failing, input }
    if (!(yield* Shrink.stillFails(walk.search, failing))) return true
    found = { ...found, failing }
    return false
  })
  const arbitrary = Arbitrary.schema(inputs.schema)
  yield* Arbitrary.checkEffect(arbitrary, property, { runs: mode.runs, seed: mode.seed, concurrency: 1 })
  return found
})

/** @category running @since 0.1.0 */
export const run = Effect.fnUntraced(function* <W, A, E, I>(of: Case<W, A, E, I>, mode: Random) {
  const search = new Search(of)
  const walk = new Walk(search, mode)
  const found = yield* of.inputs === undefined ? plansOnly(walk, mode.runs) : withInputs(walk, of.inputs, mode)
  const counted = () => ({
    plans: walk.plans,
    runs: search.runs,
    exhausted: false,
    limit: search.limit,
    met: search.met
  })
  if (found === undefined) return { ...counted(), failures: Outcomes.unmet(search) } satisfies Outcome
  const least = yield* Shrink.minimal(search, found.failing)
  const failure = yield* Outcomes.failureOf(search, least, found.problem)
  return { ...counted(), failures: [failure] } satisfies Outcome
})
