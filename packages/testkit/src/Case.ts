/**
 * What is simulated: a world that is made anew for each run, a program in it, and what must hold of the world whatever happens. @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Schema from "effect/Schema"
import type { TimedLine } from "./kernel/CurrentRun.ts"
import type { Services } from "./kernel/Kernel.ts"

/** A world after its program. @category models @since 0.1.0 */
export interface Ended<W, A, E, I = void> {
  readonly world: W
  /** What the program came to. It did end: one that hangs fails the case by itself, and so does one that dies of a defect. */
  readonly exit: Exit.Exit<A, E>
  readonly input: I
}

/** What is wrong, in words; `undefined` if nothing is. @category models @since 0.1.0 */
export type Invariant<W, A, E, I = void> = (ended: Ended<W, A, E, I>) => string | undefined

/** What happened, for the output of a failure. @category models @since 0.1.0 */
export interface Timeline {
  /** What really happened, such as a ledger's entries. */
  readonly ledger?: ReadonlyArray<TimedLine> | undefined
  /** What the client believes, beside the lines of `Simulation.note`. */
  readonly client?: ReadonlyArray<TimedLine> | undefined
}

/** Inputs that a case is tried on. @category models @since 0.1.0 */
export interface Inputs<I> {
  /** Where `Mode.random` takes inputs from, by Effect's `Arbitrary`, and how plans keep them. */
  readonly schema: Schema.Codec<I, unknown>
  /** The ones that `Mode.exhaustive` goes through, each with every plan. */
  readonly examples: ReadonlyArray<I>
}

/** @category models @since 0.1.0 */
export interface Case<W, A, E, I = void> {
  /** Ties plans to the case. Default `"simulation"`; in `it.simulate` the name of the test. */
  readonly name?: string | undefined
  /** A change of it makes all plans stale. Default none. */
  readonly version?: string | undefined
  /** Default: the program takes no input. */
  readonly inputs?: Inputs<I> | undefined
  /** Made anew for each run, and closed after it: simulated providers, stores, whatever the invariants look at. */
  readonly world: Effect.Effect<W, never, Services>
  readonly program: (world: W, input: I) => Effect.Effect<A, E, Services>
  /** Must hold when the program has ended, and still when the quiet time is over. Judge by what really happened, not by what the program believes. */
  readonly invariant: Invariant<W, A, E, I>
  /** Must hold when the quiet time is over: what has to come right once nothing bad happens any more. Default none. */
  readonly eventually?: Invariant<W, A, E, I> | undefined
  /** How long the world goes on after the program has ended, undisturbed. Default `"1 minute"`. */
  readonly quiet?: Duration.Input | undefined
  /**
   * Situations that must come about in some run, or the suite does not test what it claims to: by a look at the world, or as `Simulation.marked` where the program says so
   * itself. Default none.
   */
  readonly sometimes?: { readonly [name: string]: (ended: Ended<W, A, E, I>) => boolean } | undefined
  /** Default: only the lines of `Simulation.note`. */
  readonly timeline?: ((world: W) => Timeline) | undefined
  /** Whether the program may wait for promises and timers outside, which are held and delivered in order. Only where results are promises. Default `"forbid"`. */
  readonly external?: "forbid" | "hold" | undefined
  /**
   * How long the process may stand still at a timer, as for a collection of garbage, where the plan says so: timers that are due within so much of each other then go off together,
   * in any order. Default: not at all.
   */
  readonly stall?: Duration.Input | undefined
  /** Operations of all fibers of a run. Default 20,000,000. */
  readonly maxSteps?: number | undefined
  /** Virtual time of a run. Default `"7 days"`. */
  readonly timeLimit?: Duration.Input | undefined
  /** Milliseconds since the epoch at which each run begins. Default 2026-01-01, midnight UTC. */
  readonly startAt?: number | undefined
}
