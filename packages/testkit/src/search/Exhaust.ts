/**
 * Goes through every plan of a size. @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { Decision } from "../kernel/Decisions.ts"
import { keyOf } from "../kernel/Decisions.ts"
import type { Preemption } from "../kernel/SimulatedScheduler.ts"
import type { Verdict } from "./Judge.ts"
import type { Search } from "./Search.ts"

/** @category models @since 0.1.0 */
export interface Options<W, A, E, I> {
  readonly search: Search<W, A, E, I>
  readonly input: I
  readonly seed: number
  readonly preemption: Preemption
  /** Told of each plan; false stops. */
  readonly onPlan: (verdict: Verdict<W, I>, decisions: ReadonlyArray<Decision>) => boolean
}

/**
 * Runs every plan of exactly `size` decisions, and says whether it got to the end.
 * **Details** A plan is extended only by questions that its own run asked after its last decision, so that each set of decisions comes up once. One that fails is not
 * extended. The inner plans, which a smaller size has judged already, are run again for their questions: keeping these would take memory by the same power as the plans.
 * @category running @since 0.1.0
 */
export const ofSize = <W, A, E, I>(options: Options<W, A, E, I>, size: number): Effect.Effect<boolean> =>
  extend(options, [], 0, size)

const extend = Effect.fnUntraced(function* <W, A, E, I>(
  options: Options<W, A, E, I>,
  decisions: ReadonlyArray<Decision>,
  from: number,
  left: number
): Effect.fn.Return<boolean> {
  const { input, preemption, search, seed } = options
  const answers = { _tag: "Planned", decisions } as const
  const verdict = yield* search.run({ answers, seed, input, preemption, points: left > 0 })
  if (left === 0) return options.onPlan(verdict, decisions)
  if (verdict.problem !== undefined) return true
  const { points } = verdict.report
  for (let index = from; index < points.length; index++) {
    const point = points[index]
    for (const choice of point?.menu.slice(1) ?? []) {
      if (point === undefined) continue
      const longer = [...decisions, { key: keyOf(point), choice }]
      if (!(yield* extend(options, longer, index + 1, left - 1))) return false
    }
  }
  return true
})
