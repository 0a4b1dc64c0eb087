/**
 * Fibers that wait for work outside the simulation, such as promises and timers. They are held until all such work has ended, and then go on in the order in which they
 * began to wait: how long the work really took decides nothing. @since 0.1.0
 */
import type { FiberRecord } from "./FiberRecord.ts"
import type { Task } from "./ReadyQueue.ts"

/** @category models @since 0.1.0 */
export class External {
  /** Who waits, in the order in which they began to. */
  private readonly waiting = new Map<FiberRecord, number>()
  private arrived: Array<{ readonly task: Task; readonly order: number }> = []
  private count = 0

  /** Whether anybody waits, or was waiting and has not gone on yet: time must not go on. */
  get isBusy(): boolean {
    return this.waiting.size > 0 || this.arrived.length > 0
  }

  /** Whether all work outside has ended. */
  get isSettled(): boolean {
    return this.waiting.size === 0
  }

  /** The fiber has begun work outside; if it goes on by itself, it does not wait for it. */
  begin(record: FiberRecord): void {
    this.waiting.set(record, this.count++)
  }

  /** The fiber goes on. */
  goOn(record: FiberRecord): void {
    if (this.waiting.size > 0) this.waiting.delete(record)
  }

  isWaiting(record: FiberRecord): boolean {
    return this.waiting.has(record)
  }

  /** The work that a fiber waited for has ended: `task` is how it goes on. */
  end(task: Task): void {
    const order = this.waiting.get(task.owner) ?? this.count++
    this.waiting.delete(task.owner)
    this.arrived.push({ task, order })
  }

  /** What can go on, in order. */
  take(): ReadonlyArray<Task> {
    const tasks = this.arrived.toSorted((a, b) => a.order - b.order).map(({ task }) => task)
    this.arrived = []
    return tasks
  }
}
