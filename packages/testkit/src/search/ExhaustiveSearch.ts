/**
 * Every plan of a case, the small ones first. @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { Case } from "../Case.ts"
import type { Decision } from "../kernel/Decisions.ts"
import type { Exhaustive } from "../Mode.ts"
import * as Exhaust from "./Exhaust.ts"
import type { Problem, Verdict } from "./Judge.ts"
import type { Failure, Outcome } from "./Outcome.ts"
import * as Outcomes from "./Outcome.ts"
import { Search } from "./Search.ts"
import * as Shrink from "./Shrink.ts"

interface Found<I> {
  readonly failing: Shrink.Failing<I>
  readonly problem: Problem
}

/** The inputs to go through: one that is not there, for a program that takes none. */
const inputsOf = <W, A, E, I>({ inputs }: Case<W, A, E, I>): ReadonlyArray<I> => {
  if (inputs === undefined) return [undefined as I]
  if (inputs.examples.length === 0)
    throw new RangeError("Mode.exhaustive: the case's inputs have no examples to go through")
  return inputs.examples
}

/** @category running @since 0.1.0 */
export const run = Effect.fnUntraced(function* <W, A, E, I>(of: Case<W, A, E, I>, mode: Exhaustive) {
  const search = new Search(of)
  const { preemption } = mode
  const found: Array<Found<I>> = []
  let plans = 0
  const onPlan = ({ problem, request }: Verdict<W, I>, decisions: ReadonlyArray<Decision>): boolean => {
    plans++
    const { input, seed } = request
    if (problem !== undefined)
      found.push({ failing: { decisions, seed, input, preemption, kind: problem.kind }, problem })
    if (plans >= mode.maxPlans) search.limit = `it gave up after ${plans} plans`
    return found.length < mode.maxFailures && plans < mode.maxPlans
  }
  let complete = true
  for (let size = 0; size <= mode.deviations && complete; size++) {
    for (const input of inputsOf(of)) {
      complete &&= yield* Exhaust.ofSize({ search, input, seed: 0, preemption, onPlan }, size)
    }
  }
  const failures: Array<Failure> = []
  for (const { failing, problem } of found) {
    const least = yield* Shrink.minimal(search, failing)
    failures.push(yield* Outcomes.failureOf(search, least, problem))
  }
  const exhausted = complete && found.length === 0 && search.limit === undefined
  const all = found.length === 0 ? Outcomes.unmet(search) : failures
  return { plans, runs: search.runs, exhausted, limit: search.limit, failures: all, met: search.met } satisfies Outcome
})
