/**
 * What could run now: lowest priority number first, and within one priority in the order of arrival, as Effect's own dispatcher has it. @since 0.1.0
 */
import type { FiberRecord } from "./FiberRecord.ts"

/** @category models @since 0.1.0 */
export interface Task {
  readonly run: () => void
  /** The fiber that asked for it. */
  readonly owner: FiberRecord
}

/** A queue of tasks of one priority, which forgets what it gave out from time to time. */
class Lane {
  readonly priority: number
  private tasks: Array<Task> = []
  private head = 0

  constructor(priority: number) {
    this.priority = priority
  }

  get length(): number {
    return this.tasks.length - this.head
  }

  get first(): Task | undefined {
    return this.tasks[this.head]
  }

  push(task: Task): void {
    this.tasks.push(task)
  }

  shift(): Task | undefined {
    const task = this.tasks[this.head++]
    if (this.head === this.tasks.length) this.clear()
    else if (this.head >= 1024 && this.head * 2 >= this.tasks.length) this.compact()
    return task
  }

  private clear(): void {
    this.tasks.length = 0
    this.head = 0
  }

  private compact(): void {
    this.tasks = this.tasks.slice(this.head)
    this.head = 0
  }
}

/** @category models @since 0.1.0 */
export class ReadyQueue {
  private readonly lanes: Array<Lane> = [new Lane(0)]
  length = 0

  push(task: Task, priority = 0): void {
    this.length++
    this.lane(priority).push(task)
  }

  /** The lane whose turn it is; `undefined` when nothing is ready. */
  turn(): Lane | undefined {
    for (const lane of this.lanes) if (lane.length > 0) return lane
    return undefined
  }

  /** Takes the first task of a lane out of it. */
  take(lane: Lane): Task | undefined {
    this.length--
    return lane.shift()
  }

  /** Moves the first task of a lane behind all others of that lane. */
  postpone(lane: Lane): void {
    const task = lane.shift()
    if (task !== undefined) lane.push(task)
  }

  private lane(priority: number): Lane {
    const found = this.lanes.find((lane) => lane.priority === priority)
    if (found !== undefined) return found
    const lane = new Lane(priority)
    const behind = this.lanes.findIndex((other) => other.priority > priority)
    this.lanes.splice(behind === -1 ? this.lanes.length : behind, 0, lane)
    return lane
  }
}
