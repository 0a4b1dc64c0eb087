/**
 * One run of a program under one set of decisions: scheduler, clock, randomness, span ids and metrics are the run's own, time goes on by itself, and the run always comes
 * to an end that is a value.
 * @internal
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as Metric from "effect/Metric"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import * as Tracer from "effect/Tracer"
import type { Handle, TimedLine } from "./CurrentRun.ts"
import { CurrentRun } from "./CurrentRun.ts"
import type { Answers, Decision, Point, Taken } from "./Decisions.ts"
import { Decisions } from "./Decisions.ts"
import { External } from "./External.ts"
import type { PromiseOrigins } from "./PromiseOrigins.ts"
import { Processes } from "./Processes.ts"
import * as PromiseOrigin from "./PromiseOrigins.ts"
import * as SimulatedRandom from "./SimulatedRandom.ts"
import type { Preemption } from "./SimulatedScheduler.ts"
import { SimulatedScheduler } from "./SimulatedScheduler.ts"
import * as SimulatedTracer from "./SimulatedTracer.ts"
import type { Leak, Watch } from "./Trap.ts"
import * as Trap from "./Trap.ts"
import { VirtualClock } from "./VirtualClock.ts"

/** What the kernel gives to a program. @category models @since 0.1.0 */
export type Services = Scope.Scope | SimulatedRandom.SecureRandom

/** @category models @since 0.1.0 */
export interface Options {
  /** Default: nothing bad happens. */
  readonly answers?: Answers | undefined
  /** What randomness is drawn from. Default `0`. */
  readonly seed?: number | undefined
  /** Default `"wakeups"`. */
  readonly preemption?: Preemption | undefined
  /**
   * How long the process may stand still, as for a collection of garbage: timers that are due within so much of each other may then go off together, in any order. Default: not
   * at all, so that only timers of one instant are put in another order.
   */
  readonly stall?: Duration.Input | undefined
  /** Operations of all fibers, after which the run ends as `StepLimit`. Default 20,000,000. */
  readonly maxSteps?: number | undefined
  /** Virtual time, after which the run ends as `TimeLimit`. Default `"7 days"`. */
  readonly timeLimit?: Duration.Input | undefined
  /** Milliseconds since the epoch at which the run begins. Default 2026-01-01, midnight UTC. */
  readonly startAt?: number | undefined
  /** Told of the run's spans. Default none. */
  readonly tracer?: Tracer.Tracer | undefined
  /** Loggers of the program. Default none: a search runs it thousands of times. */
  readonly loggers?: ReadonlySet<Logger.Logger<unknown, unknown>> | undefined
  /** Whether to keep a line of everything that happens. Default false. */
  readonly trace?: boolean | undefined
  /** Whether to keep every question that was asked. Default false. */
  readonly points?: boolean | undefined
}

/** The values used when an option is left out. @category constants @since 0.1.0 */
export const defaults = {
  answers: { _tag: "Planned", decisions: [] },
  seed: 0,
  preemption: "wakeups",
  maxSteps: 20_000_000,
  timeLimit: "7 days",
  startAt: 1_767_225_600_000,
  externalMillis: 5000
} as const satisfies Options & { readonly externalMillis: number }

/** How a run came to its end. @category models @since 0.1.0 */
export type Outcome<A, E> =
  | { readonly _tag: "Completed"; readonly exit: Exit.Exit<A, E> }
  /** Nothing is ready and no timer is set: it would hang for ever. */
  | { readonly _tag: "Deadlock" }
  | { readonly _tag: "StepLimit" }
  | { readonly _tag: "TimeLimit" }
  /** It left the simulation. */
  | { readonly _tag: "Left"; readonly leak: Leak }
  /** A process of it died of a defect. */
  | { readonly _tag: "Died"; readonly process: string; readonly defect: unknown }
  /** The plan asks for a choice that the menu does not have. */
  | { readonly _tag: "UnknownChoice"; readonly decision: Decision; readonly menu: ReadonlyArray<string> }

/** What is left of a run. @category models @since 0.1.0 */
export interface Report<A, E> {
  readonly outcome: Outcome<A, E>
  /** Operations of all fibers. */
  readonly operations: number
  /** Timers that went off. */
  readonly timers: number
  /** Virtual milliseconds that it lasted. */
  readonly elapsed: number
  /** Fiber that ran last. */
  readonly last: string
  /** Decisions other than the undisturbed ones. */
  readonly taken: ReadonlyArray<Taken>
  readonly points: ReadonlyArray<Point>
  readonly overflown: boolean
  readonly trace: ReadonlyArray<string>
  readonly notes: ReadonlyArray<TimedLine>
  readonly marks: ReadonlySet<string>
}

const time = (millis: number): string => `+${Number(millis.toFixed(3))} ms`

/** A run under way. */
class Execution<A, E> {
  private readonly external: External | undefined
  private readonly decisions: Decisions
  private readonly scheduler: SimulatedScheduler
  private readonly clock: VirtualClock
  private readonly processes: Processes
  private readonly watch: Watch
  private readonly timeLimit: number
  private readonly stallMillis: number
  private readonly trace: Array<string> = []
  private readonly tracing: boolean
  private readonly notes: Array<TimedLine> = []
  private readonly marks = new Set<string>()
  private fiber: Fiber.Fiber<A, E> | undefined
  private stop: Outcome<A, E> | undefined
  private readonly options: Options
  private readonly program: Effect.Effect<A, E, Services>

  constructor(program: Effect.Effect<A, E, Services>, options: Options, external?: External, origins?: PromiseOrigins) {
    this.program = program
    this.options = options
    this.external = external
    this.tracing = options.trace ?? false
    this.timeLimit = Duration.toMillis(Duration.fromInputUnsafe(options.timeLimit ?? defaults.timeLimit))
    this.stallMillis = Duration.toMillis(Duration.fromInputUnsafe(options.stall ?? Duration.zero))
    const seed = options.seed ?? defaults.seed
    const owner = () => this.scheduler.current
    this.decisions = new Decisions({
      answers: options.answers ?? defaults.answers,
      seed,
      points: options.points ?? false,
      elapsed: () => this.clock.elapsed,
      onTaken: ({ at, choice, key }) => this.line(at, `${key}: ${choice}`),
      onUnknownChoice: (decision, menu) => this.end({ _tag: "UnknownChoice", decision, menu })
    })
    this.scheduler = new SimulatedScheduler({
      decisions: this.decisions,
      preemption: options.preemption ?? defaults.preemption,
      maxSteps: options.maxSteps ?? defaults.maxSteps,
      external,
      kills: (fiber, record) => this.processes.kills(fiber, record),
      onOutside: ({ name }) => this.leave({ what: `a callback that resumed ${name} from outside`, location: undefined })
    })
    this.clock = new VirtualClock({
      startAt: options.startAt ?? defaults.startAt,
      owner,
      enqueue: (owner, run) => this.scheduler.ready.push({ run, owner }),
      onLive: () => this.leave({ what: "TestClock.withLive", location: undefined })
    })
    const { clock, decisions, scheduler } = this
    const preemption = options.preemption ?? defaults.preemption
    this.processes = new Processes({ clock, decisions, scheduler, preemption })
    this.watch = {
      now: () => this.clock.now,
      elapsed: () => this.clock.elapsed,
      draw: SimulatedRandom.draws({ seed, owner, of: "secureDraws" }),
      onExternal: external === undefined ? undefined : () => external.begin(this.scheduler.current),
      origins,
      onLeak: (leak) => this.leave(leak)
    }
  }

  /** Goes on until the run has ended, or waits for work outside. */
  drive(): Outcome<A, E> | undefined {
    return Trap.watching(this.watch, () => this.scheduler.enter(() => this.loop()))
  }

  /** Lets the fibers go on that waited for work outside. */
  deliver(): void {
    for (const task of this.external?.take() ?? []) this.scheduler.ready.push(task)
  }

  leave(leak: Leak): void {
    this.end({ _tag: "Left", leak })
  }

  report(outcome: Outcome<A, E>): Report<A, E> {
    this.scheduler.stopped = true
    return {
      outcome,
      operations: this.scheduler.operations,
      timers: this.clock.fired,
      elapsed: this.clock.elapsed,
      last: this.scheduler.current.name,
      taken: this.decisions.taken,
      points: this.decisions.points,
      overflown: this.decisions.overflown,
      trace: this.trace,
      notes: this.notes,
      marks: this.marks
    }
  }

  private loop(): Outcome<A, E> | undefined {
    const { clock, scheduler } = this
    const fiber = (this.fiber ??= this.start())
    for (;;) {
      if (this.stop !== undefined) return this.stop
      const exit = fiber.pollUnsafe()
      if (exit !== undefined) return { _tag: "Completed", exit }
      if (scheduler.limitReached) return { _tag: "StepLimit" }
      if (scheduler.ready.length > 0) this.step()
      else if (this.external?.isBusy === true) return undefined
      else if (!clock.advance(this.lateness())) return { _tag: "Deadlock" }
      else if (clock.elapsed > this.timeLimit) return { _tag: "TimeLimit" }
    }
  }

  private step(): void {
    const { clock, scheduler } = this
    if (!this.tracing) return scheduler.step()
    const before = scheduler.operations
    scheduler.step()
    this.line(clock.elapsed, `${scheduler.current.name} ran ${scheduler.operations - before} operations`)
  }

  /** How late the next timers go off: asked only where that lets others catch up with them. */
  private lateness(): number {
    const { clock, decisions, stallMillis } = this
    if (stallMillis === 0 || !clock.isNear(stallMillis)) return 0
    return decisions.choose("stall of the process", ["none", `${stallMillis} ms`]) === 0 ? 0 : stallMillis
  }

  private start(): Fiber.Fiber<A, E> {
    return Effect.runForkWith(this.context())(Effect.scoped(this.program), { scheduler: this.scheduler })
  }

  private context(): Context.Context<SimulatedRandom.SecureRandom> {
    const { clock, options, scheduler } = this
    const owner = () => scheduler.current
    const seed = options.seed ?? defaults.seed
    return Context.empty().pipe(
      Context.add(CurrentRun, this.handle()),
      Context.add(Clock.Clock, clock),
      Context.add(Random.Random, SimulatedRandom.random(SimulatedRandom.draws({ seed, owner, of: "draws" }))),
      Context.add(SimulatedRandom.SecureRandom, SimulatedRandom.secure(this.watch.draw)),
      Context.add(Tracer.Tracer, SimulatedTracer.make({ owner, tracer: options.tracer })),
      Context.add(Metric.MetricRegistry, new Map()),
      Context.add(Logger.CurrentLoggers, options.loggers ?? new Set())
    )
  }

  private handle(): Handle {
    const { clock, decisions, marks, notes, processes } = this
    return {
      choose: (label, menu) => menu[decisions.choose(label, menu)] ?? "",
      uniform: (label) => decisions.uniform(label),
      mark: (name) => void marks.add(name),
      note: (text) => {
        notes.push({ at: clock.now, text })
        this.line(clock.elapsed, text)
      },
      claim: (name) => processes.claim(name),
      begin: (options) => processes.begin(options),
      end: (life) => processes.end(life),
      isKilledAt: (fiber, life, point) => processes.isKilledAt(fiber, life, point),
      died: (process, defect) => this.end({ _tag: "Died", process, defect }),
      quieten: () => {
        decisions.quiet = true
      }
    }
  }

  private end(outcome: Outcome<A, E>): void {
    this.stop ??= outcome
    this.scheduler.stopped = true
  }

  private line(at: number, text: string): void {
    if (this.tracing) this.trace.push(`${time(at)} ${text}`)
  }
}

/** Only Node can say where a promise was made, and at a price: so it is asked when a run has already left by one. */
const explained = <A, E>(program: Effect.Effect<A, E, Services>, options: Options, report: Report<A, E>) => {
  const { outcome } = report
  if (outcome._tag !== "Left" || outcome.leak.what !== "a promise") return report
  const origins = PromiseOrigin.watch()
  const again = new Execution(program, options, undefined, origins)
  const second = again.drive()
  origins.stop()
  return second?._tag === "Left" ? again.report(second) : report
}

/**
 * Runs a program to its end, at once. What leaves the simulation ends the run, and is told by file and line.
 * @category running @since 0.1.0
 */
export const run = <A, E>(program: Effect.Effect<A, E, Services>, options: Options = {}): Report<A, E> => {
  const uninstall = Trap.install()
  try {
    const execution = new Execution(program, options)
    const report = execution.report(execution.drive() ?? { _tag: "Deadlock" })
    return explained(program, options, report)
  } finally {
    uninstall()
  }
}

/**
 * Runs a program that has work outside, such as promises: time stands still until all of it has ended, and it goes on in the order in which it was begun.
 * **Details** Work that does not end within `externalMillis` of real time, default 5 seconds, ends the run as `Left`. @category running @since 0.1.0
 */
export const runPromise = async <A, E>(
  program: Effect.Effect<A, E, Services>,
  options: Options & { readonly externalMillis?: number | undefined } = {}
): Promise<Report<A, E>> => {
  const uninstall = Trap.install()
  try {
    const external = new External()
    const execution = new Execution(program, options, external)
    for (;;) {
      const outcome = execution.drive()
      if (outcome !== undefined) return execution.report(outcome)
      if (!(await Effect.runPromise(settled(external, options.externalMillis ?? defaults.externalMillis)))) {
        execution.leave({ what: "work outside that does not end", location: undefined })
      }
      execution.deliver()
    }
  } finally {
    uninstall()
  }
}

/** Whether all work outside ends in time: real time, since that is where it happens. */
const settled = Effect.fnUntraced(function* (external: External, limit: number) {
  const until = (yield* Clock.currentTimeMillis) + limit
  while (!external.isSettled) {
    if ((yield* Clock.currentTimeMillis) > until) return false
    yield* Effect.sleep("1 millis")
  }
  return true
})
