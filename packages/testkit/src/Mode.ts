/**
 * How a simulation goes through its plans: all of a size, at random, or one. @since 0.1.0
 */
import type { Plan } from "./Plan.ts"
import type { Preemption } from "./kernel/SimulatedScheduler.ts"

/** @category models @since 0.1.0 */
export interface Exhaustive {
  readonly _tag: "Exhaustive"
  readonly deviations: number
  readonly preemption: Preemption
  readonly maxPlans: number
  readonly maxFailures: number
}

/** @category models @since 0.1.0 */
export interface Random {
  readonly _tag: "Random"
  readonly runs: number
  readonly seed: number
  readonly faultRate: number
  readonly preemptRate: number
  readonly killRate: number
  readonly preemption: Preemption
}

/** @category models @since 0.1.0 */
export interface Replay {
  readonly _tag: "Replay"
  readonly plan: Plan | string
  readonly stale: "refuse" | "ignore"
}

/** @category models @since 0.1.0 */
export type Mode = Exhaustive | Random | Replay

/** @category models @since 0.1.0 */
export interface ExhaustiveOptions {
  /** Most decisions that a plan has, at least 0. Cost grows by this power. */
  readonly deviations: number
  /** Default `"wakeups"`. */
  readonly preemption?: Preemption | undefined
  /** Plans after which the search gives up, and says so. Default 1,000,000. */
  readonly maxPlans?: number | undefined
  /** Failures after which it stops; plans that go on from a failing one are left out. Default 1. */
  readonly maxFailures?: number | undefined
}

/** @category models @since 0.1.0 */
export interface RandomOptions {
  /** Default 1,000. */
  readonly runs?: number | undefined
  /** Default `0`. */
  readonly seed?: number | undefined
  /** Share of the environment's questions that are answered badly, from 0 to 1. Default 0.1. */
  readonly faultRate?: number | undefined
  /** Share of the scheduler's questions that are answered badly, from 0 to 1. Default 0.05. */
  readonly preemptRate?: number | undefined
  /** Share of the points at which a process may be killed that it is killed at, from 0 to 1. Default 0.02. */
  readonly killRate?: number | undefined
  /** Default `"every-op"`. */
  readonly preemption?: Preemption | undefined
}

/** @category models @since 0.1.0 */
export interface ReplayOptions {
  /** What becomes of a plan that was found in other code: it is refused, or followed as far as its keys are met. Default `"refuse"`. */
  readonly stale?: "refuse" | "ignore" | undefined
}

/** The values used when an option is left out. @category constants @since 0.1.0 */
export const defaults = {
  exhaustive: { preemption: "wakeups", maxPlans: 1_000_000, maxFailures: 1 },
  random: { runs: 1000, seed: 0, faultRate: 0.1, preemptRate: 0.05, killRate: 0.02, preemption: "every-op" },
  replay: { stale: "refuse" }
} as const satisfies {
  readonly exhaustive: Omit<ExhaustiveOptions, "deviations">
  readonly random: RandomOptions
  readonly replay: ReplayOptions
}

const whole = (of: string, field: string, value: number, least: number): number => {
  if (Number.isSafeInteger(value) && value >= least) return value
  throw new RangeError(`Mode.${of}: ${field} must be a whole number of at least ${least}, got ${value}`)
}

const share = (field: string, value: number): number => {
  if (value >= 0 && value <= 1) return value
  throw new RangeError(`Mode.random: ${field} must be from 0 to 1, got ${value}`)
}

/**
 * Every plan with at most so many decisions, the small ones first, so that what it finds is minimal. Throws a `RangeError` if a number is out of range.
 * @category constructors @since 0.1.0
 */
export const exhaustive = (options: ExhaustiveOptions): Mode => ({
  _tag: "Exhaustive",
  deviations: whole("exhaustive", "deviations", options.deviations, 0),
  preemption: options.preemption ?? defaults.exhaustive.preemption,
  maxPlans: whole("exhaustive", "maxPlans", options.maxPlans ?? defaults.exhaustive.maxPlans, 1),
  maxFailures: whole("exhaustive", "maxFailures", options.maxFailures ?? defaults.exhaustive.maxFailures, 1)
})

/**
 * Plans and inputs at random, the same for the same seed; what fails is shrunk to a minimal plan. Throws a `RangeError` if a number is out of range.
 * @category constructors @since 0.1.0
 */
export const random = (options?: RandomOptions): Mode => ({
  _tag: "Random",
  runs: whole("random", "runs", options?.runs ?? defaults.random.runs, 1),
  seed: whole("random", "seed", options?.seed ?? defaults.random.seed, 0),
  faultRate: share("faultRate", options?.faultRate ?? defaults.random.faultRate),
  preemptRate: share("preemptRate", options?.preemptRate ?? defaults.random.preemptRate),
  killRate: share("killRate", options?.killRate ?? defaults.random.killRate),
  preemption: options?.preemption ?? defaults.random.preemption
})

/** One plan again, as it is printed with a failure. @category constructors @since 0.1.0 */
export const replay = (plan: Plan | string, options?: ReplayOptions): Mode => ({
  _tag: "Replay",
  plan,
  stale: options?.stale ?? defaults.replay.stale
})
