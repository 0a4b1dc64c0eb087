/**
 * Runs a case once and says what is wrong with what it came to. @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type { Case, Ended } from "../Case.ts"
import { CurrentRun } from "../kernel/CurrentRun.ts"
import type { Answers } from "../kernel/Decisions.ts"
import type { Report } from "../kernel/Kernel.ts"
import * as Kernel from "../kernel/Kernel.ts"
import type { Preemption } from "../kernel/SimulatedScheduler.ts"

/** What a failure is about. @category models @since 0.1.0 */
export type Kind =
  | "invariant"
  | "eventually"
  | "defect"
  | "deadlock"
  | "step limit"
  | "time limit"
  | "left the simulation"
  | "unknown choice"
  | "not deterministic"
  | "plan refused"
  | "never met"
  | "not declared"

/** @category models @since 0.1.0 */
export interface Problem {
  readonly kind: Kind
  readonly message: string
}

/** @category models @since 0.1.0 */
export interface Request<I> {
  readonly answers: Answers
  readonly seed: number
  readonly input: I
  readonly preemption: Preemption
  /** Whether to keep the questions. Default false. */
  readonly points?: boolean | undefined
  /** Whether to keep a line of everything that happens. Default false. */
  readonly trace?: boolean | undefined
}

/** @category models @since 0.1.0 */
export interface Verdict<W, I> {
  readonly request: Request<I>
  readonly problem: Problem | undefined
  readonly report: Report<Problem | undefined, never>
  /** `undefined` if the run ended before it was made. */
  readonly world: W | undefined
  /** Situations that came about. */
  readonly met: ReadonlySet<string>
}

/** What a run leaves behind, also where it does not end. */
interface Remains<W> {
  world: W | undefined
  readonly met: Set<string>
}

const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** A judgement that throws, such as an assertion, says what is wrong by that. */
const judged = (kind: Kind, judge: () => string | undefined): Problem | undefined => {
  try {
    const message = judge()
    return message === undefined ? undefined : { kind, message }
  } catch (error) {
    return { kind, message: textOf(error) }
  }
}

const defectOf = (exit: Exit.Exit<unknown, unknown>): Problem | undefined => {
  if (Exit.isSuccess(exit) || !Cause.hasDies(exit.cause)) return undefined
  const died = exit.cause.reasons.find(Cause.isDieReason)
  return { kind: "defect", message: `the program died: ${textOf(died?.defect)}` }
}

const safe = <W, A, E, I>({ invariant }: Case<W, A, E, I>, ended: Ended<W, A, E, I>): Problem | undefined =>
  defectOf(ended.exit) ?? judged("invariant", () => invariant(ended))

const live = <W, A, E, I>({ eventually }: Case<W, A, E, I>, ended: Ended<W, A, E, I>): Problem | undefined =>
  eventually === undefined ? undefined : judged("eventually", () => eventually(ended))

const meet = <W, A, E, I>(of: Case<W, A, E, I>, ended: Ended<W, A, E, I>, met: Set<string>): void => {
  for (const [name, isMet] of Object.entries(of.sometimes ?? {})) if (isMet(ended)) met.add(name)
}

/** How an exit is shown in a trace: without what differs from process to process, such as fiber ids. */
const shown = (exit: Exit.Exit<unknown, unknown>): string => {
  if (Exit.isSuccess(exit)) return "succeeded"
  const reasons = exit.cause.reasons.map((reason) =>
    Cause.isFailReason(reason)
      ? `failed: ${textOf(reason.error)}`
      : Cause.isDieReason(reason)
        ? `died: ${textOf(reason.defect)}`
        : "was interrupted"
  )
  return reasons.join(", ")
}

/** The whole run as one effect. The program has a fiber and a scope of its own, so that what it leaves behind ends with it, and what the world does goes on. */
const whole = Effect.fnUntraced(function* <W, A, E, I>(of: Case<W, A, E, I>, input: I, remains: Remains<W>) {
  const run = yield* CurrentRun
  const world = yield* of.world
  remains.world = world
  const fiber = yield* Effect.forkChild(Effect.scoped(of.program(world, input)), { startImmediately: true })
  const exit = yield* Fiber.await(fiber)
  run?.note(`the program ${shown(exit)}`)
  const ended = { world, exit, input }
  meet(of, ended, remains.met)
  const early = safe(of, ended)
  if (early !== undefined) return early
  run?.quieten()
  yield* Effect.sleep(of.quiet ?? "1 minute")
  meet(of, ended, remains.met)
  return safe(of, ended) ?? live(of, ended)
})

const undeclared = <W, A, E, I>(of: Case<W, A, E, I>, marks: ReadonlySet<string>): Problem | undefined => {
  const declared = Object.keys(of.sometimes ?? {})
  const unknown = [...marks].find((mark) => !declared.includes(mark))
  if (unknown === undefined) return undefined
  const names = declared.length === 0 ? "nothing" : declared.map((name) => `"${name}"`).join(", ")
  const message = `Simulation.sometimes("${unknown}"): the case's \`sometimes\` does not declare it; it declares ${names}`
  return { kind: "not declared", message }
}

const at = (millis: number): string => `+${Number(millis.toFixed(3))} ms`

/** What is wrong with how a run ended. */
const problemOf = ({ elapsed, last, outcome }: Report<Problem | undefined, never>): Problem | undefined => {
  switch (outcome._tag) {
    case "Completed":
      return Exit.isSuccess(outcome.exit)
        ? outcome.exit.value
        : { kind: "defect", message: `the world ${shown(outcome.exit)}` }
    case "Deadlock":
      return {
        kind: "deadlock",
        message: `it hangs at ${at(elapsed)}: nothing is ready, no timer is set, and no callback comes from outside; fiber ${last} ran last`
      }
    case "StepLimit":
      return {
        kind: "step limit",
        message: `it does not come to rest: too many operations by ${at(elapsed)}; fiber ${last} ran last`
      }
    case "TimeLimit":
      return {
        kind: "time limit",
        message: `it does not come to an end: still running at ${at(elapsed)}; fiber ${last} ran last`
      }
    case "Left": {
      const { location, what } = outcome.leak
      const where = location === undefined ? "somewhere in the program" : `at ${location}`
      return {
        kind: "left the simulation",
        message: `${what} ${where}: it leaves the simulation, so no plan decides what it gives`
      }
    }
    case "Died":
      return { kind: "defect", message: `process ${outcome.process} died: ${textOf(outcome.defect)}` }
    case "UnknownChoice": {
      const { decision, menu } = outcome
      const names = menu.map((name) => `"${name}"`).join(", ")
      return {
        kind: "unknown choice",
        message: `"${decision.choice}" is no choice of ${decision.key}, which has ${names}`
      }
    }
  }
}

const optionsOf = <W, A, E, I>(of: Case<W, A, E, I>, request: Request<I>): Kernel.Options => ({
  answers: request.answers,
  seed: request.seed,
  preemption: request.preemption,
  points: request.points,
  trace: request.trace,
  stall: of.stall,
  maxSteps: of.maxSteps,
  timeLimit: of.timeLimit,
  startAt: of.startAt
})

/** Runs a case by a request. @category running @since 0.1.0 */
export const judge = <W, A, E, I>(of: Case<W, A, E, I>, request: Request<I>): Effect.Effect<Verdict<W, I>> =>
  Effect.suspend(() => {
    const remains: Remains<W> = { world: undefined, met: new Set() }
    const program = whole(of, request.input, remains)
    const options = optionsOf(of, request)
    const report =
      of.external === "hold"
        ? Effect.promise(() => Kernel.runPromise(program, options))
        : Effect.sync(() => Kernel.run(program, options))
    return Effect.map(report, (report) => {
      const met = new Set([...remains.met, ...report.marks])
      const problem = undeclared(of, report.marks) ?? problemOf(report)
      return { request, problem, report, world: remains.world, met }
    })
  })
