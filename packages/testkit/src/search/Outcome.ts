/**
 * What a search came to. @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Case } from "../Case.ts"
import type { Plan } from "../Plan.ts"
import * as Plans from "../Plan.ts"
import * as FailureText from "./FailureText.ts"
import type { Kind, Problem, Verdict } from "./Judge.ts"
import type { Search } from "./Search.ts"
import type { Failing } from "./Shrink.ts"

/** @category models @since 0.1.0 */
export interface Failure {
  readonly kind: Kind
  readonly message: string
  /** `undefined` where no run failed, such as when a situation was never met. */
  readonly plan: Plan | undefined
  /** Everything there is to say. */
  readonly text: string
}

/** @category models @since 0.1.0 */
export interface Outcome {
  /** Plans that were judged. */
  readonly plans: number
  /** Times that the case was run, in all: also for inner plans, to shrink, and twice. */
  readonly runs: number
  /** Whether every plan that was asked for was judged: no limit was hit, nothing failed, and the plans that were run twice came to the same. */
  readonly exhausted: boolean
  /** Why not. */
  readonly limit: string | undefined
  readonly failures: ReadonlyArray<Failure>
  /** In how many runs each situation of `sometimes` came about. */
  readonly met: ReadonlyMap<string, number>
}

/** Runs a failing plan once more, for everything that its output needs. @category constructors @since 0.1.0 */
export const failureOf = Effect.fnUntraced(function* <W, A, E, I>(
  search: Search<W, A, E, I>,
  failing: Failing<I>,
  problem: Problem
) {
  const { decisions, kind: _, ...request } = failing
  const verdict = yield* search.twice({ ...request, answers: { _tag: "Planned", decisions }, points: true })
  return written(search.of, verdict, planOf(search.of, verdict, failing), verdict.problem ?? vanished(problem))
})

const vanished = ({ message }: Problem): Problem => ({
  kind: "not deterministic",
  message: `it failed (${message}), and the same plan run again did not: something is kept from run to run, or comes from outside by a way that is not watched`
})

const written = <W, A, E, I>(of: Case<W, A, E, I>, verdict: Verdict<W, I>, plan: Plan, problem: Problem): Failure => ({
  ...problem,
  plan,
  text: FailureText.make(of, problem, plan, verdict)
})

const encodedInput = <W, A, E, I>({ inputs }: Case<W, A, E, I>, input: I): { readonly input?: unknown } =>
  inputs === undefined ? {} : { input: Schema.encodeSync(Schema.toCodecJson(inputs.schema))(input) }

const planOf = <W, A, E, I>(of: Case<W, A, E, I>, { report }: Verdict<W, I>, failing: Failing<I>): Plan => ({
  kernel: Plans.kernelVersion,
  case: FailureText.nameOf(of),
  source: Plans.sourceOf({ points: report.points, decisions: failing.decisions, version: of.version }),
  seed: failing.seed,
  ...encodedInput(of, failing.input),
  decisions: failing.decisions
})

/** A failure that no plan shows. @category constructors @since 0.1.0 */
export const bare = (of: { readonly name?: string | undefined }, kind: Kind, message: string): Failure => ({
  kind,
  message,
  plan: undefined,
  text: `${FailureText.nameOf(of)}: ${message}`
})

/** The situations that no run met. @category constructors @since 0.1.0 */
export const unmet = <W, A, E, I>({ met, of, runs }: Search<W, A, E, I>): ReadonlyArray<Failure> =>
  [...met]
    .filter(([, times]) => times === 0)
    .map(([name]) =>
      bare(of, "never met", `"${name}" came about in none of ${runs} runs, so the suite does not test it`)
    )

const count = (number: number): string => String(number).replaceAll(/(?<=\d)(?=(?:\d{3})+$)/gu, ",")

/** An outcome in one line. @category accessors @since 0.1.0 */
export const summary = ({ exhausted, failures, limit, plans, runs }: Outcome): string => {
  const [first] = failures
  const sizes = `${count(plans)} plans, ${count(runs)} runs`
  if (first !== undefined) return `failed: ${first.message} (${sizes})`
  if (exhausted) return `exhausted: no plan fails (${sizes})`
  return `passed, not exhausted${limit === undefined ? "" : `: ${limit}`} (${sizes})`
}
