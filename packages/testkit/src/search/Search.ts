/**
 * What all ways of searching have in common: they run a case, count, and now and then run a plan twice.
 * @internal
 */
import * as Effect from "effect/Effect"
import type { Case } from "../Case.ts"
import * as Determinism from "./Determinism.ts"
import type { Request, Verdict } from "./Judge.ts"
import * as Judge from "./Judge.ts"

const isPowerOfTwo = (number: number): boolean => (number & (number - 1)) === 0

/** @category models @since 0.1.0 */
export class Search<W, A, E, I> {
  readonly of: Case<W, A, E, I>
  /** Times that the case was run. */
  runs = 0
  /** In how many runs each situation came about. */
  readonly met = new Map<string, number>()
  /** Why the search is not complete. */
  limit: string | undefined = undefined
  private judged = 0

  constructor(of: Case<W, A, E, I>) {
    this.of = of
    for (const name of Object.keys(of.sometimes ?? {})) this.met.set(name, 0)
  }

  /** Runs the case. Its first run, the second, the fourth, the eighth and so on are held against a run of the same. */
  readonly run = (request: Request<I>): Effect.Effect<Verdict<W, I>> =>
    isPowerOfTwo(++this.judged) ? this.twice(request) : this.once(request)

  /** Runs the case twice, and fails where the two runs differ. */
  readonly twice = (request: Request<I>): Effect.Effect<Verdict<W, I>> => {
    const traced = { ...request, trace: true }
    return Effect.flatMap(this.once(traced), (first) =>
      Effect.map(this.once(traced), (second) => {
        const problem = Determinism.difference(
          Determinism.linesOf(this.of, first),
          Determinism.linesOf(this.of, second)
        )
        const leaves = first.problem?.kind === "left the simulation"
        return problem === undefined || leaves ? first : { ...first, problem }
      })
    )
  }

  private once(request: Request<I>): Effect.Effect<Verdict<W, I>> {
    return Effect.map(Judge.judge(this.of, request), (verdict) => {
      this.runs++
      for (const name of verdict.met) this.met.set(name, (this.met.get(name) ?? 0) + 1)
      if (verdict.report.overflown) this.limit = "a run asked more questions than are remembered"
      return verdict
    })
  }
}
