/**
 * Runs fibers one task at a time, in the order that the decisions of the run give. @since 0.1.0
 */
import * as Fiber from "effect/Fiber"
import type * as Scheduler from "effect/Scheduler"
import type { Decisions } from "./Decisions.ts"
import type { External } from "./External.ts"
import { FiberRecord } from "./FiberRecord.ts"
import { CurrentLife } from "./Life.ts"
import { ReadyQueue } from "./ReadyQueue.ts"

/**
 * Where a fiber may be overtaken by others. `none`: nowhere, in the order of arrival. `wakeups`: whenever several could run, which is what may happen to a
 * program as it is. `every-op`: also before any of its operations, which is what may happen once a step between them becomes asynchronous, such as a store
 * that moves to another process. @category models @since 0.1.0
 */
export type Preemption = "none" | "wakeups" | "every-op"

/** Operations of a fiber that never yield: yielding before its third one would put it back to the same place for ever. */
const firstOperation = 3

const wakeMenu = ["now", "after the others"]
const preemptMenu = ["goes on", "others first"]

/** @category models @since 0.1.0 */
export interface Options {
  readonly decisions: Decisions
  readonly preemption: Preemption
  /** Operations after which the run is stopped. */
  readonly maxSteps: number
  /** Fibers that wait for work outside; `undefined` where none may. */
  readonly external: External | undefined
  /** A fiber was resumed from outside that had not begun any work there. */
  readonly onOutside: (record: FiberRecord) => void
  /** Whether the plan kills the process of a fiber before its next operation. */
  readonly kills: (fiber: AnyFiber, record: FiberRecord) => boolean
}

type AnyFiber = Fiber.Fiber<unknown, unknown>

/** @category models @since 0.1.0 */
export class SimulatedScheduler implements Scheduler.Scheduler {
  readonly executionMode = "sync"
  readonly ready = new ReadyQueue()
  /** Operations of all fibers so far. */
  operations = 0
  /** Set to park every fiber at its next operation. */
  stopped = false
  /** The fiber that ran last. */
  current: FiberRecord = new FiberRecord("main")
  private inside = false
  private readonly options: Options
  private readonly records = new WeakMap<AnyFiber, FiberRecord>()
  private lastFiber: AnyFiber | undefined
  /** The fiber that the task under way began with; any other one may have that one suspended below it on the stack. */
  private firstFiber: AnyFiber | undefined
  private isFirst = true
  /** A fiber of a process that was killed, which is about to yield for the last time. */
  private abandoned: AnyFiber | undefined

  constructor(options: Options) {
    this.options = options
  }

  get limitReached(): boolean {
    return this.operations > this.options.maxSteps
  }

  /** Effect asks this before each operation of a fiber. */
  shouldYield(fiber: AnyFiber): boolean {
    const record = fiber === this.lastFiber ? this.current : this.recordOf(fiber)
    this.lastFiber = fiber
    this.firstFiber ??= fiber
    this.current = record
    if (!this.inside) return this.isOutside(record)
    this.options.external?.goOn(record)
    if (++this.operations > this.options.maxSteps || this.stopped) return true
    if (record.life !== undefined && (record.isAbandoned || this.options.kills(fiber, record)))
      return this.abandon(fiber)
    const { currentOpCount } = fiber
    if (currentOpCount >= fiber.cache.maxOpsBeforeYield) return true
    if (this.options.preemption !== "every-op" || currentOpCount < firstOperation) return false
    return this.preempts(record, this.ready.length > 0 || fiber !== this.firstFiber)
  }

  makeDispatcher(): Scheduler.SchedulerDispatcher {
    const fiber = Fiber.getCurrent()
    const owner = fiber === undefined ? this.current : (this.records.get(fiber) ?? this.current)
    return {
      scheduleTask: (run, priority) => {
        if (this.isAbandoning()) return
        if (this.inside) this.ready.push({ run, owner }, priority)
        else this.options.external?.end({ run, owner })
      },
      flush: () => this.enter(() => this.drain())
    }
  }

  /** Runs `body` as a part of the simulation. */
  enter<A>(body: () => A): A {
    const before = this.inside
    this.inside = true
    try {
      return body()
    } finally {
      this.inside = before
    }
  }

  /** Runs the next task. */
  step(): void {
    const lane = this.ready.turn()
    if (lane === undefined) return
    const { first } = lane
    if (first !== undefined && lane.length > 1 && this.options.preemption !== "none" && this.postpones(first.owner)) {
      this.ready.postpone(lane)
    }
    const task = this.ready.take(lane)
    if (task === undefined) return
    this.current = task.owner
    this.lastFiber = undefined
    this.firstFiber = undefined
    task.run()
  }

  /** Work outside has resumed a fiber: it yields before it does anything, so that what it scheduled is how it goes on. */
  private isOutside(record: FiberRecord): true {
    const { external, onOutside } = this.options
    if (!this.stopped && external?.isWaiting(record) !== true) onOutside(record)
    return true
  }

  private drain(): void {
    while (this.ready.length > 0 && !this.stopped && !this.limitReached) this.step()
  }

  /** A fiber not seen before was forked by the one that ran last: nothing else runs between a fork and the child's first operation, but the parent. */
  private recordOf(fiber: AnyFiber): FiberRecord {
    const known = this.records.get(fiber)
    if (known !== undefined) return known
    const record = this.isFirst ? this.current : this.newRecord(fiber)
    this.isFirst = false
    this.records.set(fiber, record)
    return record
  }

  /**
   * Lets a fiber yield, and forgets how it would go on. All else that it has scheduled is done: it may concern others, such as the next one in the queue for a permit that
   * was given back.
   */
  private abandon(fiber: AnyFiber): true {
    this.abandoned = fiber
    return true
  }

  private isAbandoning(): boolean {
    if (this.abandoned === undefined) return false
    const isLast = this.abandoned === Fiber.getCurrent()
    this.abandoned = undefined
    return isLast
  }

  private newRecord(fiber: AnyFiber): FiberRecord {
    const life = fiber.getRef(CurrentLife)
    if (life === undefined || life.begun) return this.current.fork(life)
    life.begun = true
    return new FiberRecord(life.fiber, life)
  }

  /** Asked only where somebody else could run; counted everywhere, so that an operation keeps its number when other decisions change. */
  private preempts(record: FiberRecord, somebodyElse: boolean): boolean {
    const occurrence = record.preemptions++
    if (!somebodyElse) return false
    const { decisions } = this.options
    record.preempt ??= decisions.label(`preempt ${record.name}`)
    return decisions.answer(record.preempt, occurrence, preemptMenu) !== 0
  }

  private postpones(owner: FiberRecord): boolean {
    const { decisions } = this.options
    owner.wake ??= decisions.label(`wake ${owner.name}`)
    return decisions.answer(owner.wake, owner.wake.occurrences++, wakeMenu) !== 0
  }
}
