/**
 * Deterministic simulation: a program and its world under plans that decide everything which is not the program, with what fails shown as a plan that can be run again.
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { Case } from "./Case.ts"
import { CurrentRun } from "./kernel/CurrentRun.ts"
import { kindOf } from "./kernel/Decisions.ts"
import * as Trap from "./kernel/Trap.ts"
import type { Mode } from "./Mode.ts"
import * as ExhaustiveSearch from "./search/ExhaustiveSearch.ts"
import type { Failure, Outcome } from "./search/Outcome.ts"
import * as RandomSearch from "./search/RandomSearch.ts"
import * as ReplaySearch from "./search/ReplaySearch.ts"

export type {
  /** What was found. @category models @since 0.1.0 */
  Failure,
  /** What a search came to. @category models @since 0.1.0 */
  Outcome
}
export type {
  /** What one run may be told. @category models @since 0.1.0 */
  Options as RunOptions,
  /** What is left of one run. @category models @since 0.1.0 */
  Report
} from "./kernel/Kernel.ts"
export {
  /** One run of a program, without a search. @category running @since 0.1.0 */
  run,
  /** One run of a program that waits for promises outside. @category running @since 0.1.0 */
  runPromise
} from "./kernel/Kernel.ts"
export {
  /** An outcome in one line. @category accessors @since 0.1.0 */
  summary
} from "./search/Outcome.ts"

/** Thrown by `verify` for what a search has found. @category errors @since 0.1.0 */
export class SimulationFailed extends Error {
  override readonly name = "SimulationFailed"
  readonly failures: ReadonlyArray<Failure>

  constructor(failures: ReadonlyArray<Failure>) {
    super(failures.map(({ text }) => text).join("\n\n"))
    this.failures = failures
  }
}

/** Types a case. @category constructors @since 0.1.0 */
export const make = <W, A, E, I = void>(of: Case<W, A, E, I>): Case<W, A, E, I> => of

const search = <W, A, E, I>(of: Case<W, A, E, I>, mode: Mode): Effect.Effect<Outcome> => {
  switch (mode._tag) {
    case "Exhaustive":
      return ExhaustiveSearch.run(of, mode)
    case "Random":
      return RandomSearch.run(of, mode)
    case "Replay":
      return ReplaySearch.run(of, mode)
  }
}

/**
 * Searches a case for a plan that fails. Everything is done when it returns: no promise, no time. Throws a `RangeError` for a case that holds work outside.
 * @category running @since 0.1.0
 */
export const check = <W, A, E, I>(of: Case<W, A, E, I>, mode: Mode): Outcome => {
  if (of.external === "hold")
    throw new RangeError("Simulation.check: a case that holds work outside ends in a promise; use checkPromise")
  const uninstall = Trap.install()
  try {
    return Effect.runSync(search(of, mode))
  } finally {
    uninstall()
  }
}

/** `check` for a case that holds work outside. @category running @since 0.1.0 */
export const checkPromise = async <W, A, E, I>(of: Case<W, A, E, I>, mode: Mode): Promise<Outcome> => {
  const uninstall = Trap.install()
  try {
    return await Effect.runPromise(search(of, mode))
  } finally {
    uninstall()
  }
}

const passed = (outcome: Outcome): Outcome => {
  if (outcome.failures.length > 0) throw new SimulationFailed(outcome.failures)
  return outcome
}

/** Searches a case, and throws `SimulationFailed` with everything there is to say. @category running @since 0.1.0 */
export const verify = <W, A, E, I>(of: Case<W, A, E, I>, mode: Mode): Outcome => passed(check(of, mode))

/** `verify` for a case that holds work outside. @category running @since 0.1.0 */
export const verifyPromise = async <W, A, E, I>(of: Case<W, A, E, I>, mode: Mode): Promise<Outcome> =>
  passed(await checkPromise(of, mode))

/** For `sometimes`: the program says so itself, by `Simulation.sometimes`. @category constants @since 0.1.0 */
export const marked = (): boolean => false

const environmental = (label: string): string => {
  if (kindOf(label) !== "environment") {
    const word = label.slice(0, label.indexOf(" "))
    throw new RangeError(`Simulation.choose: labels that begin with "${word}" are the kernel's, got "${label}"`)
  }
  return label
}

/**
 * Asks the plan to choose: the first of the menu means that nothing bad happens, and is what comes outside a simulation. A label names the same question in every run; asked
 * again, it is another one. Dies of a `RangeError` for a label of the kernel's. @category deciding @since 0.1.0
 */
export const choose = <const Menu extends readonly [string, ...ReadonlyArray<string>]>(
  label: string,
  menu: Menu
): Effect.Effect<Menu[number]> => Effect.map(CurrentRun, (run) => run?.choose(environmental(label), menu) ?? menu[0])

/** A number from 0 to below 1 to fill a decision with, such as how late an answer is; 0 outside a simulation. @category deciding @since 0.1.0 */
export const uniform = (label: string): Effect.Effect<number> =>
  Effect.map(CurrentRun, (run) => run?.uniform(label) ?? 0)

/** Says that a situation came about, which the case declares in `sometimes`. Nothing outside a simulation. @category observing @since 0.1.0 */
export const sometimes = (name: string): Effect.Effect<void> => Effect.map(CurrentRun, (run) => run?.mark(name))

/** Puts a line into the timeline of a failure, on the client's side. Nothing outside a simulation. @category observing @since 0.1.0 */
export const note = (text: string): Effect.Effect<void> => Effect.map(CurrentRun, (run) => run?.note(text))
