/**
 * A fiber as the kernel knows it. Its name is the path of forks that led to it, `main.0.2`: Effect's own fiber ids are counted over the whole process, and differ
 * from run to run. @since 0.1.0
 */
import type { Label } from "./Decisions.ts"
import type { Life } from "./Life.ts"

/** @category models @since 0.1.0 */
export class FiberRecord {
  readonly name: string
  /** Of a process; `undefined` in the world. */
  readonly life: Life | undefined
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

  constructor(name: string, life?: Life) {
    this.name = name
    this.life = life
  }

  /** Whether it was abandoned: what it still has to do is never done. */
  get isAbandoned(): boolean {
    return this.life?.alive === false
  }

  /** The record of the next fiber that this one forks. */
  fork(life: Life | undefined): FiberRecord {
    return new FiberRecord(`${this.name}.${this.children++}`, life)
  }
}
