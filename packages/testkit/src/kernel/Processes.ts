/**
 * The lives of a run's processes, and the questions whether one of them ends here. @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Fiber from "effect/Fiber"
import * as Tracer from "effect/Tracer"
import type { Decisions, Label } from "./Decisions.ts"
import type { FiberRecord } from "./FiberRecord.ts"
import * as Lives from "./Life.ts"
import type { Preemption, SimulatedScheduler } from "./SimulatedScheduler.ts"
import type { VirtualClock } from "./VirtualClock.ts"

type AnyFiber = Fiber.Fiber<unknown, unknown>

const menu = ["goes on", "killed"]

/** @category models @since 0.1.0 */
export interface Options {
  readonly decisions: Decisions
  readonly scheduler: SimulatedScheduler
  readonly clock: VirtualClock
  readonly preemption: Preemption
}

const spanOf = (fiber: AnyFiber): string | undefined => {
  const span = Context.getOrUndefined(fiber.context, Tracer.ParentSpan)
  return span?._tag === "Span" ? span.name : undefined
}

/** What a process does at the moment of a kill, as far as it is known. */
const doing = (fiber: AnyFiber, passed: string | undefined): string | undefined => {
  const span = spanOf(fiber)
  const parts = [
    ...(span === undefined ? [] : [`in "${span}"`]),
    ...(passed === undefined ? [] : [`last seen ${passed}`])
  ]
  return parts.length === 0 ? undefined : parts.join(", ")
}

/** @category models @since 0.1.0 */
export class Processes {
  private readonly options: Options
  private readonly names = new Set<string>()

  constructor(options: Options) {
    this.options = options
  }

  /** Throws a `RangeError` for a name that is taken. */
  claim(name: string): void {
    if (this.names.has(name)) throw new RangeError(`Process.start: there is a process "${name}" already`)
    this.names.add(name)
  }

  begin(options: Lives.Options): Lives.Life {
    const { scheduler } = this.options
    const { onKilled } = options
    const owner = scheduler.current
    // Whoever is told goes on in a turn of its own: at the moment of the kill, the dying fiber is still on the stack.
    return new Lives.Life({
      ...options,
      onKilled: (errors) => scheduler.ready.push({ run: () => onKilled(errors), owner })
    })
  }

  /** Abandons what runs and closes what is open; gives back what went wrong with that. */
  end(life: Lives.Life): ReadonlyArray<unknown> {
    if (!life.alive) return []
    life.alive = false
    this.options.clock.forgetAbandoned()
    return life.closeHandles()
  }

  /** Asked before each operation of a process: its first one after a wait is a step, which may be the last. */
  kills(fiber: AnyFiber, { life }: FiberRecord): boolean {
    if (life?.mortal !== true) return false
    const isStep = fiber.currentOpCount === 1
    if (!isStep && this.options.preemption !== "every-op") return false
    return this.ask(life, isStep ? this.step(life) : this.operation(life), () => doing(fiber, life.passed))
  }

  /** Asked at a point with a name. */
  isKilledAt(fiber: AnyFiber, life: Lives.Life, point: string): boolean {
    const { passed } = life
    life.passed = point
    if (!life.mortal || !life.alive) return !life.alive
    const label = this.options.decisions.label(`kill ${life.name} ${point}`)
    return this.ask(life, label, () => doing(fiber, passed))
  }

  private step(life: Lives.Life): Label {
    return (life.step ??= this.options.decisions.label(`kill ${life.name}`))
  }

  private operation(life: Lives.Life): Label {
    return (life.operation ??= this.options.decisions.label(`kill-op ${life.name}`))
  }

  private ask(life: Lives.Life, label: Label, detail: () => string | undefined): boolean {
    if (this.options.decisions.answer(label, label.occurrences++, menu, detail) === 0) return false
    life.onKilled(this.end(life))
    return true
  }
}
