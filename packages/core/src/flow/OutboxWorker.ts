/**
 * The worker of an outbox: claims in batches, runs a bounded number at once, keeps the leases of what takes longer, completes in batches, and waits while the store is down.
 * @internal
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Latch from "effect/Latch"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import { OutboxStore } from "../store/OutboxStore.ts"
import { StoreError } from "../store/StoreError.ts"
import type { StaleClaim } from "../store/StoreError.ts"
import type { Held } from "./OutboxDesk.ts"
import { Desk } from "./OutboxDesk.ts"
import type { OutboxLog } from "./OutboxLog.ts"
import type { Attempt, Settled } from "./OutboxVerdict.ts"

/** @category models @since 0.1.0 */
export interface WorkerOptions {
  /** Handlers that run at once in this worker, at least 1. Default 16. */
  readonly concurrency?: number | undefined
  /**
   * Commands that are held at once, at work or about to be, at least `concurrency`; so many are claimed and completed by one statement, which waits for the disk. More is faster where handlers are; fewer leave
   * more to other workers, and less to the end of the leases when the worker is to end: with 16 handlers of a second each, 128 take less than the grace. Default 128, or `concurrency` if that is more.
   */
  readonly batch?: number | undefined
  /**
   * How long after the death of a worker its commands wait for another one. Leases of those at work are renewed each third of it. From 10 ms; it should be longer than a store may be
   * down. Default `"1 minute"`.
   */
  readonly lease?: Duration.Input | undefined
  /**
   * How long the worker waits at most before it looks again, when there is nothing to do: for what another process added, and what is scheduled. What this process adds it finds at
   * once. Default `"1 second"`.
   */
  readonly pollEvery?: Duration.Input | undefined
  /** How long commands that are at work may go on when the worker is to end. What is left then waits for the end of its lease. Default `"10 seconds"`. */
  readonly shutdownGrace?: Duration.Input | undefined
}

/** The values used when an option is left out. @category constants @since 0.1.0 */
export const defaults = {
  concurrency: 16,
  batch: 128,
  lease: "1 minute",
  pollEvery: "1 second",
  shutdownGrace: "10 seconds"
} as const satisfies WorkerOptions

/** What a worker works at. @category models @since 0.1.0 */
export interface Work<R> {
  readonly queue: string
  readonly log: OutboxLog
  /** Opened when commands are added in this process. */
  readonly waiting: Set<Latch.Latch>
  /** Tries a command, and says what is to become of it. */
  readonly attempt: (attempt: Attempt) => Effect.Effect<Settled, never, R>
}

interface Settings {
  readonly concurrency: number
  readonly batch: number
  readonly leaseMillis: number
  readonly pollMillis: number
  readonly shutdownGrace: Duration.Duration
}

/** The first pause of a worker that finds nothing, and of one whose store is down; they double. In milliseconds. */
const firstIdle = 20
const firstPatience = 200
const longestPatience = 10_000

/** Completed at once at most: what one statement of every store takes. */
const maxCompleted = 500

const whole = (name: string, value: number, least: number): number => {
  if (Number.isSafeInteger(value) && value >= least) return value
  throw new RangeError(`Outbox worker: ${name} must be a whole number of at least ${least}, got ${value}`)
}

const millis = (name: string, input: Duration.Input, least: number): number => {
  const value = Duration.toMillis(Duration.fromInputUnsafe(input))
  if (Number.isFinite(value) && value >= least) return value
  throw new RangeError(`Outbox worker: ${name} must be at least ${least} ms and finite, got ${value} ms`)
}

/** Throws a `RangeError` that names the option. */
const settingsOf = (options: WorkerOptions = {}): Settings => {
  const concurrency = whole("concurrency", options.concurrency ?? defaults.concurrency, 1)
  return {
    concurrency,
    batch: whole("batch", options.batch ?? Math.max(defaults.batch, concurrency), concurrency),
    leaseMillis: millis("lease", options.lease ?? defaults.lease, 10),
    pollMillis: millis("pollEvery", options.pollEvery ?? defaults.pollEvery, 1),
    shutdownGrace: Duration.millis(millis("shutdownGrace", options.shutdownGrace ?? defaults.shutdownGrace, 0))
  }
}

class Worker<R> {
  readonly desk: Desk
  private readonly work: Work<R>
  private readonly store: OutboxStore["Service"]
  private readonly settings: Settings
  private readonly ready: Queue.Queue<Held>

  constructor(work: Work<R>, store: OutboxStore["Service"], settings: Settings, ready: Queue.Queue<Held>) {
    this.work = work
    this.store = store
    this.settings = settings
    this.ready = ready
    this.desk = new Desk(settings.batch >> 1)
  }

  /** Asks the store until it answers: says so once when it does not, and once when it does again. */
  private patiently<A, E>(request: Effect.Effect<A, E | StoreError>): Effect.Effect<A, Exclude<E, StoreError>> {
    const { desk, work } = this
    return Effect.gen(function* () {
      let pause = firstPatience
      let failed: string | undefined
      for (;;) {
        const result = yield* Effect.result(request)
        if (result._tag === "Failure" && result.failure instanceof StoreError) {
          failed = result.failure.operation
          if (desk.refused.size === 0) yield* work.log.storeDown(result.failure)
          desk.refused.add(failed)
          yield* Effect.sleep(pause)
          pause = Math.min(pause * 2, longestPatience)
          continue
        }
        const isLast = failed !== undefined && desk.refused.delete(failed) && desk.refused.size === 0
        if (isLast) yield* work.log.storeUp
        if (result._tag === "Success") return result.success
        return yield* Effect.fail(result.failure as Exclude<E, StoreError>)
      }
    })
  }

  /** Claims what is due as long as there is room for it. */
  get claiming(): Effect.Effect<never> {
    const { desk, ready, settings, store, work } = this
    // What was claimed is held, whatever happens in between.
    const claim = (limit: number) =>
      Effect.uninterruptible(
        Effect.gen(function* () {
          const askedAt = yield* Clock.currentTimeMillis
          const commands = yield* store.claim({ queue: work.queue, limit, leaseMillis: settings.leaseMillis })
          for (const held of desk.take(commands, askedAt, settings.leaseMillis)) Queue.offerUnsafe(ready, held)
          return commands.length
        })
      )
    const patiently = (limit: number) => this.patiently(claim(limit))
    return Effect.gen(function* () {
      let idle = firstIdle
      for (;;) {
        const limit = desk.free(settings.batch)
        if (limit === 0) {
          yield* desk.room.await
          continue
        }
        desk.wake.closeUnsafe()
        const count = yield* patiently(limit)
        if (count > 0) idle = firstIdle
        if (count === limit) continue
        const woken = yield* Effect.timeoutOption(desk.wake.await, Math.min(idle, settings.pollMillis))
        // What a transaction of this process has added is seen when that has ended: the worker looks again soon.
        idle = woken._tag === "Some" ? firstIdle : Math.min(idle * 2, settings.pollMillis)
      }
    })
  }

  /** Tries one command after the other. */
  get trying(): Effect.Effect<never, never, R> {
    const { desk, ready, work } = this
    const settle = (held: Held, verdict: Settled) => this.settle(held, verdict)
    return Effect.gen(function* () {
      for (;;) {
        const held = yield* Queue.take(ready)
        const { ahead, claimedAt, command } = held
        const now = yield* Clock.currentTimeMillis
        // This process may have stood still, and somebody else may be at it.
        if (held.isLost || now >= held.leaseUntil) {
          desk.drop(held)
          yield* Effect.withFiber(({ context }) => Effect.sync(() => work.log.ended("lost", context)))
          continue
        }
        const maybeSent = command.sentAt !== undefined && command.sentAt < claimedAt + ahead
        yield* settle(held, yield* work.attempt({ command, now: now + ahead, maybeSent }))
      }
    })
  }

  private settle(held: Held, verdict: Settled): Effect.Effect<void> {
    const { desk, store, work } = this
    if (verdict._tag === "Done") return Effect.sync(() => desk.finish(held))
    const { note, sent } = verdict
    const request: Effect.Effect<void, StoreError | StaleClaim> =
      verdict._tag === "Again"
        ? store.reschedule(held.command, { afterMillis: verdict.afterMillis, note, sent })
        : store.bury(held.command, { note, sent })
    const outcome = verdict._tag === "Again" ? "rescheduled" : "dead"
    const told = Effect.withFiber(({ context }) => {
      work.log.ended(outcome, context)
      return work.log.failed(held.command, verdict)
    })
    return this.patiently(request).pipe(
      Effect.andThen(told),
      Effect.catchTag("StaleClaim", () => this.lose([held])),
      Effect.andThen(Effect.sync(() => desk.drop(held)))
    )
  }

  private lose(lost: ReadonlyArray<Held>): Effect.Effect<void> {
    const { log } = this.work
    return Effect.withFiber(({ context }) => {
      for (const _ of lost) log.ended("lost", context)
      return log.lost(lost.length)
    })
  }

  /** Tells the store what is done, in batches: while it writes one, the next one gathers. */
  get completing(): Effect.Effect<never> {
    const { desk, store, work } = this
    const patiently = (batch: ReadonlyArray<Held>) =>
      this.patiently(store.complete(batch.map(({ command: { fence, sequence } }) => ({ fence, sequence }))))
    const lose = (lost: ReadonlyArray<Held>) => this.lose(lost)
    return Effect.gen(function* () {
      for (;;) {
        yield* desk.finished.await
        // Handlers that end at the same time are completed together: each statement is a commit.
        for (let before = 0; before < desk.done.length && before < maxCompleted;) {
          before = desk.done.length
          yield* Effect.yieldNow
        }
        const batch = desk.done.splice(0, maxCompleted)
        if (desk.done.length === 0) desk.finished.closeUnsafe()
        const lost = new Set((yield* patiently(batch)).map(({ sequence }) => sequence))
        const now = yield* Clock.currentTimeMillis
        yield* Effect.withFiber(({ context }) => {
          for (const { ahead, command } of batch) {
            if (lost.has(command.sequence)) continue
            work.log.ended("completed", context)
            work.log.aged(Math.max(0, now + ahead - command.addedAt) / 1000, context)
          }
          for (const held of batch) desk.drop(held)
          return Effect.void
        })
        if (lost.size > 0) yield* lose(batch.filter(({ command }) => lost.has(command.sequence)))
      }
    })
  }

  /** Keeps the leases of what is held. */
  get renewing(): Effect.Effect<never> {
    const { desk, settings, store } = this
    const { leaseMillis } = settings
    return Effect.gen(function* () {
      for (;;) {
        yield* Effect.sleep(leaseMillis / 3)
        if (desk.held.size === 0) continue
        const all = [...desk.held.values()].filter(({ isLost }) => !isLost)
        const now = yield* Clock.currentTimeMillis
        const claims = all.map(({ command: { fence, sequence } }) => ({ fence, sequence }))
        // A store that is down is told of where it is waited for; here the next round comes soon enough.
        const lost = yield* Effect.orElseSucceed(store.renew(claims, leaseMillis), () => undefined)
        if (lost === undefined) continue
        const gone = new Set(lost.map(({ sequence }) => sequence))
        for (const held of all) {
          if (gone.has(held.command.sequence)) held.isLost = true
          else held.leaseUntil = now + leaseMillis
        }
      }
    })
  }

  /** Lets what is at work come to its end, for a while. */
  get draining(): Effect.Effect<void> {
    const { desk, settings, work } = this
    return Effect.suspend(() => {
      if (desk.held.size === 0) return Effect.void
      const ended = Effect.timeoutOption(desk.empty.await, settings.shutdownGrace)
      return Effect.andThen(
        ended,
        Effect.suspend(() => (desk.held.size === 0 ? Effect.void : work.log.left(desk.held.size)))
      )
    })
  }
}

/** Works until it is interrupted. Throws a `RangeError` for an option out of range. @category running @since 0.1.0 */
export const run = <R>(work: Work<R>, options?: WorkerOptions): Effect.Effect<never, never, OutboxStore | R> => {
  const settings = settingsOf(options)
  return Effect.scoped(
    Effect.gen(function* (): Effect.fn.Return<never, never, OutboxStore | R | Scope.Scope> {
      const ready = yield* Queue.unbounded<Held>()
      const worker = new Worker(work, yield* OutboxStore, settings, ready)
      yield* Effect.acquireRelease(
        Effect.sync(() => work.waiting.add(worker.desk.wake)),
        () => Effect.sync(() => work.waiting.delete(worker.desk.wake))
      )
      yield* Effect.forkScoped(worker.renewing)
      yield* Effect.forkScoped(worker.completing)
      for (let slot = 0; slot < settings.concurrency; slot++) yield* Effect.forkScoped(worker.trying)
      // The last to be added is the first to be run: the others go on meanwhile.
      yield* Effect.addFinalizer(() => worker.draining)
      return yield* worker.claiming
    })
  )
}
