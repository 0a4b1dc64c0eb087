/**
 * One life of a simulated process, from its start to its end or to the moment at which the plan kills it. What it has are fibers, which a kill abandons, and handles, which
 * a kill closes by force. @since 0.1.0
 */
import * as Context from "effect/Context"
import type { Label } from "./Decisions.ts"

/** @category models @since 0.1.0 */
export interface Options {
  /** Name of the process. */
  readonly name: string
  /** Counted from 1. */
  readonly number: number
  /** Whether the plan is asked for a kill at all. */
  readonly mortal: boolean
  /** Told of a kill, with what went wrong when handles were closed. */
  readonly onKilled: (errors: ReadonlyArray<unknown>) => void
}

/** @category models @since 0.1.0 */
export class Life {
  readonly name: string
  readonly number: number
  readonly mortal: boolean
  /** Whether its fibers may run. */
  alive = true
  /** What it has passed last, in words. */
  passed: string | undefined = undefined
  /** Whether its first fiber is known. */
  begun = false
  step: Label | undefined = undefined
  operation: Label | undefined = undefined
  readonly onKilled: Options["onKilled"]
  private readonly handles: Array<() => void> = []

  constructor({ mortal, name, number, onKilled }: Options) {
    this.name = name
    this.number = number
    this.mortal = mortal
    this.onKilled = onKilled
  }

  /** Name of its first fiber. */
  get fiber(): string {
    return this.number === 1 ? this.name : `${this.name}(${this.number})`
  }

  /** Keeps how to close a handle by force, until what it gives back is called. */
  hold(close: () => void): () => void {
    this.handles.push(close)
    return () => {
      const index = this.handles.indexOf(close)
      if (index !== -1) this.handles.splice(index, 1)
    }
  }

  /** Closes what is open, the last first, and gives back what went wrong. */
  closeHandles(): ReadonlyArray<unknown> {
    const errors: Array<unknown> = []
    for (const close of this.handles.splice(0).toReversed()) {
      try {
        close()
      } catch (error) {
        errors.push(error)
      }
    }
    return errors
  }
}

/** The life that a fiber belongs to: none for the world. A fiber is of the life that this names when it is forked. @category services @since 0.1.0 */
export const CurrentLife: Context.Reference<Life | undefined> = Context.Reference<Life | undefined>(
  "@breakwater/testkit/CurrentLife",
  { defaultValue: () => undefined }
)
