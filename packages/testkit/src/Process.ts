/**
 * Processes of a simulation: named programs that the plan kills and that start again. A kill is a `SIGKILL`: the fibers stop where they are, no finalizer runs, handles are
 * closed by force, and what the process had in memory is gone. Exchanges at simulated providers go on, and so does everything made outside of the process, such as a memory
 * store, which stands for a durable one. @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import type { Handle } from "./kernel/CurrentRun.ts"
import { CurrentRun } from "./kernel/CurrentRun.ts"
import type { Life } from "./kernel/Life.ts"
import { CurrentLife } from "./kernel/Life.ts"

/** @category models @since 0.1.0 */
export interface Options {
  /** How long after a kill it starts again, in virtual time. Default `"1 second"`. */
  readonly restartAfter?: Duration.Input | undefined
  /** How often it is killed at most, and so started again. From then on the plan is not asked. Default 3. */
  readonly maxKills?: number | undefined
}

/** The values used when an option is left out. @category constants @since 0.1.0 */
export const defaults = { restartAfter: "1 second", maxKills: 3 } as const satisfies Options

/** @category models @since 0.1.0 */
export interface Process<A, E> {
  readonly name: string
  /** What the program came to in the life in which it ended. */
  readonly await: Effect.Effect<Exit.Exit<A, E>>
  /** The same, as the program's own result. */
  readonly join: Effect.Effect<A, E>
  /** How often it was killed so far. */
  readonly kills: Effect.Effect<number>
}

/** What starts lives of one process, one after the other. */
interface Starting<A, E, R> {
  readonly run: Handle
  readonly name: string
  readonly program: Effect.Effect<A, E, R>
  readonly maxKills: number
}

/** Names are parts of decision keys. */
const pattern = /^[\w.-]+$/u

const checked = (name: string, maxKills: number): void => {
  if (!pattern.test(name))
    throw new RangeError(`Process.start: a name has letters, digits, ".", "_" and "-" only, got "${name}"`)
  if (!Number.isSafeInteger(maxKills) || maxKills < 0)
    throw new RangeError(`Process.start: maxKills must be a whole number of at least 0, got ${maxKills}`)
}

/**
 * Starts a process, and ends it as a kill does when the scope closes. Every point at which one of its fibers could go on is a question of the plan whether it is killed there;
 * so is every `point`, and the moments before a request and after its answer. When the faults of a run end, so do the kills.
 * **Details** A process that ends by itself, also by an error, has ended for good; one that dies of a defect fails the case. Outside a simulation nothing kills it.
 * **Gotchas** A fiber that was killed keeps its place in what the world made: a permit that it holds is never given back, as with a lock in a database that has no expiry,
 * and who awaits the fiber itself waits for ever. Dies of a `RangeError` for a name that is taken or not made of word characters, and
 * inside another process, which would start it anew with each of its own lives.
 *
 * **Example** A worker that does a job and then remembers it: killed in between, it does the job twice.
 * ```ts run
 * import { Mode, Process, Simulation } from "@breakwater/testkit"
 * import { Effect } from "effect"
 *
 * const worker = Simulation.make({
 *   name: "worker",
 *   world: Effect.sync(() => ({ done: 0, remembered: false })),
 *   program: Effect.fnUntraced(function* (world) {
 *     const job = Effect.gen(function* () {
 *       if (world.remembered) return
 *       world.done++
 *       yield* Process.point("done")
 *       world.remembered = true
 *     })
 *     const process = yield* Process.start("worker", job)
 *     yield* process.join
 *   }),
 *   invariant: ({ world }) => (world.done === 1 ? undefined : `done ${world.done} times`)
 * })
 *
 * const { failures } = Simulation.check(worker, Mode.exhaustive({ deviations: 1 }))
 * console.log(failures[0]?.text) // … process worker is killed at done, the 1st time …
 * ```
 * @category constructors @since 0.1.0
 */
export const start = Effect.fnUntraced(function* <A, E, R>(
  name: string,
  program: Effect.Effect<A, E, R>,
  options?: Options
): Effect.fn.Return<Process<A, E>, never, Exclude<R, Scope.Scope> | Scope.Scope> {
  const maxKills = options?.maxKills ?? defaults.maxKills
  checked(name, maxKills)
  const within = yield* CurrentLife
  if (within !== undefined)
    throw new RangeError(
      `Process.start: process "${within.name}" starts "${name}": start it in the world or the program`
    )
  const run = yield* CurrentRun
  run?.claim(name)
  const ended = yield* Deferred.make<Exit.Exit<A, E>>()
  const scoped = Effect.scoped(program)
  let kills = 0
  const once: Effect.Effect<Exit.Exit<A, E> | undefined, never, Exclude<R, Scope.Scope>> = run === undefined
    ? Effect.exit(scoped)
    : Effect.suspend(() => live({ run, name, program: scoped, maxKills }, kills))
  const supervise = Effect.gen(function* () {
    for (;;) {
      const exit = yield* once
      if (exit !== undefined) return yield* Deferred.succeed(ended, exit)
      kills++
      yield* Effect.sleep(options?.restartAfter ?? defaults.restartAfter)
      run?.note(`process ${name} starts again`)
    }
  })
  yield* Effect.forkScoped(supervise)
  return {
    name,
    await: Deferred.await(ended),
    join: Effect.flatten(Deferred.await(ended)),
    kills: Effect.sync(() => kills)
  }
})

const defectOf = (exit: Exit.Exit<unknown, unknown>): ReadonlyArray<unknown> =>
  Exit.isSuccess(exit) ? [] : exit.cause.reasons.filter(Cause.isDieReason).map(({ defect }) => defect)

/** One life, and what it came to; `undefined` for a kill. */
const live = <A, E, R>(
  { maxKills, name, program, run }: Starting<A, E, R>,
  kills: number
): Effect.Effect<Exit.Exit<A, E> | undefined, never, R> =>
  Effect.contextWith((context: Context.Context<R>) =>
    Effect.callback((resume) => {
      const tell = (errors: ReadonlyArray<unknown>) => {
        for (const error of errors) run.died(name, error)
      }
      const life = run.begin({
        name,
        number: kills + 1,
        mortal: kills < maxKills,
        onKilled: (errors) => {
          tell(errors)
          resume(Effect.succeed(undefined))
        }
      })
      const fiber = Effect.runForkWith(Context.add(context, CurrentLife, life))(program)
      fiber.addObserver((exit) => {
        tell([...run.end(life), ...defectOf(exit)])
        resume(Effect.succeed(exit))
      })
      return Effect.sync(() => tell(run.end(life)))
    })
  )

/**
 * A resource of the process that does not outlive it, such as a connection to a database: closed at the end of the scope, and by force when the process is killed, as the
 * operating system does. What `close` throws is a defect.
 * **Details** Outside a process it is an ordinary resource. @category constructors @since 0.1.0
 */
export const handle = <A, E, R>(
  acquire: Effect.Effect<A, E, R>,
  close: (resource: A) => void
): Effect.Effect<A, E, R | Scope.Scope> =>
  Effect.flatMap(CurrentLife, (life) => {
    const held = Effect.map(acquire, (resource) => {
      const forget = life?.hold(() => close(resource))
      return { resource, forget }
    })
    const kept = Effect.acquireRelease(held, ({ forget, resource }) =>
      Effect.sync(() => {
        forget?.()
        close(resource)
      })
    )
    return Effect.map(kept, ({ resource }) => resource)
  })

/** Who hears of points outside a simulation: `KillPoint` in a real process. @category services @since 0.1.0 */
export const PointListener: Context.Reference<((name: string) => void) | undefined> = Context.Reference<
  ((name: string) => void) | undefined
>("@breakwater/testkit/Process/PointListener", { defaultValue: () => undefined })

/**
 * A moment with a name, at which the plan may kill the process, and which a real process can be killed at as well. Nothing outside a process.
 * @category deciding @since 0.1.0
 */
export const point = (name: string): Effect.Effect<void> =>
  Effect.andThen(
    passing(`at ${name}`),
    Effect.map(PointListener, (listener) => listener?.(name))
  )

/** A moment in words, at which the plan may kill the process: for simulated networks and stores. Nothing outside a process. @category deciding @since 0.1.0 */
export const passing = (moment: string): Effect.Effect<void> =>
  Effect.withFiber((fiber) => {
    const life: Life | undefined = fiber.getRef(CurrentLife)
    const isKilled = life !== undefined && fiber.getRef(CurrentRun)?.isKilledAt(fiber, life, moment) === true
    return isKilled ? Effect.never : Effect.void
  })

/** What it forks belongs to the world and not to the process: it goes on when the process is killed. @category combinators @since 0.1.0 */
export const outside = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.provideService(effect, CurrentLife, undefined)
