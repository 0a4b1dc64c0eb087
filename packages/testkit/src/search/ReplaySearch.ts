/**
 * One plan again, if it is for this code. @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { Case } from "../Case.ts"
import type { Decision, Point } from "../kernel/Decisions.ts"
import { keyOf, kindOf } from "../kernel/Decisions.ts"
import type { Replay } from "../Mode.ts"
import type { Plan } from "../Plan.ts"
import * as Plans from "../Plan.ts"
import * as FailureText from "./FailureText.ts"
import type { Failure, Outcome } from "./Outcome.ts"
import * as Outcomes from "./Outcome.ts"
import { Search } from "./Search.ts"

const again = 'search again, or replay it with { stale: "ignore" }'

/** Why a plan is not for this case at all, before it is run. */
const foreign = (name: string, plan: Plan): string | undefined => {
  if (plan.kernel !== Plans.kernelVersion) {
    return `it was written by kernel version ${plan.kernel}, and this one is ${Plans.kernelVersion}: search again`
  }
  return plan.case === name ? undefined : `it is for the case "${plan.case}", not for "${name}"`
}

/** Why a plan is for other code, once it was run. */
const stale = (plan: Plan, version: string | undefined, points: ReadonlyArray<Point>): string | undefined => {
  const asked = new Set(points.map(keyOf))
  const unasked = plan.decisions.find(({ key }) => !asked.has(key))
  if (unasked !== undefined) return `the run never asks for ${unasked.key}, so the plan is for other code; ${again}`
  const source = Plans.sourceOf({ points, decisions: plan.decisions, version })
  if (source === plan.source) return undefined
  return `the code before its last decision has changed since it was found (${plan.source} then, ${source} now), so it would strike elsewhere; ${again}`
}

const decodedInput = <W, A, E, I>({ inputs }: Case<W, A, E, I>, input: unknown): Result.Result<I, string> => {
  if (inputs === undefined) return Result.succeed(undefined as I)
  const decoded = Schema.decodeUnknownResult(Schema.toCodecJson(inputs.schema))(input)
  return Result.mapError(decoded, (issue) => `its input is none of this case: ${String(issue)}`)
}

const preemptionOf = (decisions: ReadonlyArray<Decision>): "none" | "wakeups" | "every-op" => {
  if (decisions.some(({ key }) => /^(?:preempt|kill-op) /u.test(key))) return "every-op"
  return decisions.some(({ key }) => kindOf(key) === "scheduling") ? "wakeups" : "none"
}

const outcome = (runs: number, failures: ReadonlyArray<Failure>, met: ReadonlyMap<string, number>): Outcome => ({
  plans: 1,
  runs,
  exhausted: false,
  limit: undefined,
  failures,
  met
})

/** @category running @since 0.1.0 */
export const run = Effect.fnUntraced(function* <W, A, E, I>(of: Case<W, A, E, I>, mode: Replay) {
  const refused = (why: string, runs = 0): Outcome =>
    outcome(runs, [Outcomes.bare(of, "plan refused", new Plans.PlanRefused({ why }).message)], new Map())
  const parsed = typeof mode.plan === "string" ? Plans.parse(mode.plan) : Result.succeed(mode.plan)
  if (Result.isFailure(parsed)) return refused(parsed.failure.why)
  const plan = parsed.success
  const why = foreign(FailureText.nameOf(of), plan)
  if (why !== undefined) return refused(why)
  const input = decodedInput(of, plan.input)
  if (Result.isFailure(input)) return refused(input.failure)
  const { decisions, seed } = plan
  const search = new Search(of)
  const request = { seed, input: input.success, preemption: preemptionOf(decisions) }
  const verdict = yield* search.run({ ...request, answers: { _tag: "Planned", decisions }, points: true })
  const { problem, report } = verdict
  if (problem?.kind === "unknown choice") return refused(problem.message, search.runs)
  const changed = mode.stale === "ignore" ? undefined : stale(plan, of.version, report.points)
  if (changed !== undefined) return refused(changed, search.runs)
  if (problem === undefined) return outcome(search.runs, [], search.met)
  const failure = yield* Outcomes.failureOf(search, { ...request, decisions, kind: problem.kind }, problem)
  return outcome(search.runs, [failure], search.met)
})
