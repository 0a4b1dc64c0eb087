/**
 * A plan: everything that makes one run of a case differ from the undisturbed one, as a short list of named decisions in JSON. Whoever has it can have the run again.
 * @since 0.1.0
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { Decision, Point, Taken } from "./kernel/Decisions.ts"
import { keyOf, kindOf } from "./kernel/Decisions.ts"
import { hashOf, hexOf } from "./kernel/Draw.ts"

/**
 * Version of what decision keys mean. A plan of another version is refused: its keys would name other moments of the run. @category constants @since 0.1.0
 */
export const kernelVersion = 1

/** @category schemas @since 0.1.0 */
export const Plan = Schema.Struct({
  /** `kernelVersion` of whoever wrote it. */
  kernel: Schema.Int,
  /** Name of the case. */
  case: Schema.String,
  /** What the code did up to the last decision, as `sourceOf` has it. */
  source: Schema.String,
  /** What randomness is drawn from. */
  seed: Schema.Int,
  /** Input of the case, encoded by its schema. */
  input: Schema.optionalKey(Schema.Unknown),
  decisions: Schema.Array(
    Schema.Struct({
      key: Schema.String.check(Schema.isPattern(/^.+#\d+$/su)),
      choice: Schema.String
    })
  )
})

/** @category models @since 0.1.0 */
export type Plan = typeof Plan.Type

/** Why a plan cannot be replayed, in words. @category errors @since 0.1.0 */
export class PlanRefused extends Schema.TaggedError<PlanRefused>("@breakwater/testkit/Plan/PlanRefused")(
  "PlanRefused",
  {
    why: Schema.String
  }
) {
  override get message(): string {
    return `the plan cannot be replayed: ${this.why}`
  }
}

const decode = Schema.decodeUnknownResult(Schema.fromJsonString(Plan))

/** Reads a plan. @category constructors @since 0.1.0 */
export const parse = (json: string): Result.Result<Plan, PlanRefused> =>
  Result.mapError(decode(json), (issue) => new PlanRefused({ why: `it is no plan: ${String(issue)}` }))

/** Writes a plan on one line. @category accessors @since 0.1.0 */
export const stringify = (plan: Plan): string => JSON.stringify(plan)

/**
 * Tells whether the code is still the one that a plan was found in: a hash over the questions that the run asked up to the last one which the plan answers, of the kinds that it
 * answers.
 * **Details** Only the keys of questions are hashed, not their menus, so that a new fault makes no old plan stale: choices are named, and an unknown one is refused by its name.
 * What comes after the last decision is left out, so that a plan stays good as a test of the very bug it found. The questions of the scheduler and of kills, of which there may be one at each
 * operation, are hashed only where the plan answers one of their kind: then another operation anywhere before it means that the plan would strike somewhere else.
 * `version` is the caller's own: it makes all plans of older versions stale. @category accessors @since 0.1.0
 */
export const sourceOf = (options: {
  readonly points: ReadonlyArray<Point>
  readonly decisions: ReadonlyArray<Decision>
  readonly version: string | undefined
}): string => {
  const { decisions, points, version = "" } = options
  const keys = new Set(decisions.map(({ key }) => key))
  const kinds = new Set(decisions.map(({ key }) => kindOf(key)))
  let hash = hashOf(version)
  let upToLast = hash
  for (const point of points) {
    if (!kinds.has(point.label.kind)) continue
    const key = keyOf(point)
    hash = hashOf(`${key}\n`, hash)
    if (keys.has(key)) upToLast = hash
  }
  return hexOf(upToLast)
}

const ordinal = (occurrence: number): string => {
  const number = occurrence + 1
  const teen = number % 100 >= 11 && number % 100 <= 13
  return `${number}${teen ? "th" : (["th", "st", "nd", "rd"][number % 10] ?? "th")}`
}

const killInWords = (label: string, nth: string, detail: string | undefined): string => {
  const [word, process, ...point] = label.split(" ")
  const moment =
    point.length > 0
      ? `${point.join(" ")}, the ${nth} time`
      : `before its ${nth} ${word === "kill-op" ? "operation" : "step"}`
  return `process ${process} is killed ${moment}${detail === undefined ? "" : `, while ${detail}`}`
}

/** A decision as one would tell it, with what went on then if that is known. @category accessors @since 0.1.0 */
export const inWords = ({ choice, detail, key }: Decision & Pick<Taken, "detail">): string => {
  const end = key.lastIndexOf("#")
  const label = key.slice(0, end)
  const nth = ordinal(Number(key.slice(end + 1)))
  const fiber = label.slice(label.indexOf(" ") + 1)
  if (kindOf(label) === "killing") return killInWords(label, nth, detail)
  if (label.startsWith("preempt ")) return `fiber ${fiber} lets the others run before its ${nth} operation`
  if (label.startsWith("wake ")) return `what fiber ${fiber} set going waits for the others, the ${nth} time`
  return `${nth} ${label}: ${choice}`
}
