/**
 * A fiber as the kernel knows it. Its name is the path of forks that led to it, `main.0.2`: Effect's own fiber ids are counted over the whole process, and differ
 * from run to run. @since 0.1.0
 */
import type { Label } from "./Decisions.ts"

/** @category models @since 0.1.0 */
export class FiberRecord {
  readonly name: string
  /** Operations at which the fiber could have been preempted. */
  preemptions = 0
  preempt: Label | undefined = undefined
  wake: Label | undefined = undefined
  /** Random numbers drawn. */
  draws = 0
  secureDraws = 0
  /** Spans begun. */
  spans = 0
  private children = 0

  constructor(name: string) {
    this.name = name
  }

  /** The record of the next fiber that this one forks. */
  fork(): FiberRecord {
    return new FiberRecord(`${this.name}.${this.children++}`)
  }
}
