/**
 * The run that a fiber belongs to, for what is simulated inside it. There is none outside a simulation. @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Fiber from "effect/Fiber"
import type * as Lives from "./Life.ts"

/** A line of the timeline. @category models @since 0.1.0 */
export interface TimedLine {
  /** Milliseconds since the epoch, by the virtual clock. */
  readonly at: number
  readonly text: string
}

/** @category models @since 0.1.0 */
export interface Handle {
  /** Asks the plan: the name of a choice of the menu, its first for "nothing bad". */
  readonly choose: (label: string, menu: ReadonlyArray<string>) => string
  /** From 0 to below 1: what a decision is filled with. */
  readonly uniform: (label: string) => number
  /** Says that a situation came about. */
  readonly mark: (name: string) => void
  /** Puts a line into the timeline, on the client's side. */
  readonly note: (text: string) => void
  /** Throws a `RangeError` for a name of a process that is taken. */
  readonly claim: (name: string) => void
  /** Begins a life of a process. */
  readonly begin: (options: Lives.Options) => Lives.Life
  /** Ends a life: whatever of it still runs is abandoned. Gives back what went wrong when handles were closed. */
  readonly end: (life: Lives.Life) => ReadonlyArray<unknown>
  /** Asks the plan whether the process is killed here. If so, the fiber must do nothing more. */
  readonly isKilledAt: (fiber: Fiber.Fiber<unknown, unknown>, life: Lives.Life, point: string) => boolean
  /** A process died of a defect. */
  readonly died: (process: string, defect: unknown) => void
  /** From now on nothing bad is decided. */
  readonly quieten: () => void
}

/** @category services @since 0.1.0 */
export const CurrentRun: Context.Reference<Handle | undefined> = Context.Reference<Handle | undefined>(
  "@breakwater/testkit/CurrentRun",
  { defaultValue: () => undefined }
)

/** The run of the fiber that runs now, for code that is no effect. @category accessors @since 0.1.0 */
export const current = (): Handle | undefined => Fiber.getCurrent()?.getRef(CurrentRun)
