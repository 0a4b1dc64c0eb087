/**
 * One call of one operation while one thing goes wrong, in a run of the kernel: everything that a rule may want to look at.
 * @internal
 */
// An operation of any provider fails with whatever it declares.
// @effect-diagnostics anyUnknownInErrorContext:off
import * as Idempotency from "@breakwater/core/Idempotency"
import { HttpClient } from "@breakwater/core/Platform"
import type { HttpClientRequest } from "@breakwater/core/Platform"
import { isProviderError } from "@breakwater/core/ProviderError"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import type { Answer, Received } from "../Exchange.ts"
import * as Exchanges from "../Exchange.ts"
import type { Fault } from "../Fault.ts"
import * as Faults from "../Fault.ts"
import * as Kernel from "../kernel/Kernel.ts"
import type { LedgerEntry } from "../Ledger.ts"
import * as SimulatedNetwork from "../SimulatedNetwork.ts"
import type { SimulatedProvider } from "../SimulatedProvider.ts"
import type { AnyOptions, Sample } from "./Options.ts"
import { ConformanceError } from "./Options.ts"
import type { Subject } from "./Subject.ts"

/** What goes wrong, and how often. @category models @since 0.1.0 */
export interface Strike {
  readonly name: string
  readonly fault: Fault
  readonly how: "first" | "every"
  /** In place of the fault: the provider refuses with this status, and quotes the request, credentials and all. */
  readonly quotes?: number | undefined
}

/** Nothing goes wrong. @category constants @since 0.1.0 */
export const undisturbed: Strike = { name: "nothing wrong", fault: Faults.none, how: "first" }

/** A call and what it left. @category models @since 0.1.0 */
export interface Called {
  readonly exit: Exit.Exit<unknown, unknown>
  /** Requests as they left the client. */
  readonly sent: ReadonlyArray<HttpClientRequest.HttpClientRequest>
  /** All work since before the first call, when the provider had ended what it had begun. */
  readonly entries: ReadonlyArray<LedgerEntry>
}

/** @category models @since 0.1.0 */
export interface Observed {
  readonly simulated: SimulatedProvider
  readonly request: unknown
  readonly key: string
  readonly call: Called
  /** The same call once more, with nothing wrong, where the first ended in `RetryableError`, which says that this is safe. */
  readonly again: Called | undefined
}

/** How a trial ended. @category models @since 0.1.0 */
export type Trial =
  | { readonly _tag: "Observed"; readonly observed: Observed }
  /** It never came to an end: deadlock, a limit, or it left the simulation. */
  | { readonly _tag: "Stuck"; readonly why: string }

type Loose = (request: unknown) => Effect.Effect<unknown, unknown>

const methodOf = (client: unknown, path: string): Loose => {
  const found = path.split(".").reduce<unknown>((at, name) => (Predicate.hasProperty(at, name) ? at[name] : at), client)
  if (!Predicate.isFunction(found)) throw new ConformanceError(`the service has no operation "${path}"`)
  return found as Loose
}

/** The answer of a provider that quotes what it refuses: no redaction of its own. */
const quoting = (edge: Answer, status: number, request: Received): Answer => {
  const message = `refused: ${request.method} ${request.target} ${JSON.stringify(request.headers)} ${Exchanges.text(request)}`
  return { ...Exchanges.json(status, { error: { message, code: "quoted" } }), headers: edge.headers }
}

/** Decides what goes wrong from when it is armed on. */
class Trigger {
  armed = false
  private strikes = 0
  readonly strike: Strike

  constructor(strike: Strike) {
    this.strike = strike
  }

  readonly plan = { next: () => (this.strike.quotes === undefined && this.fires() ? this.strike.fault : Faults.none) }

  /** The provider, that quotes where the strike says so. */
  readonly around = (simulated: SimulatedProvider): SimulatedProvider => {
    const { quotes } = this.strike
    if (quotes === undefined) return simulated
    const handle = (request: Received) =>
      this.fires() ? Effect.succeed(quoting(simulated.edge(quotes), quotes, request)) : simulated.handle(request)
    return { ...simulated, handle }
  }

  private fires(): boolean {
    return this.armed && (this.strikes++ === 0 || this.strike.how === "every")
  }
}

/** A time after which the provider has ended what it had begun, and rates, circuits and budgets are as new. */
const rest = Duration.minutes(15)

const resolve = (sample: Sample<unknown, unknown>, client: unknown): Effect.Effect<unknown> => {
  if (!Predicate.isFunction(sample)) return Effect.succeed(sample)
  const made = (sample as (client: unknown) => Effect.Effect<unknown, unknown>)(client)
  return Effect.catchCause(made, (cause) =>
    Effect.die(
      new ConformanceError(`its request cannot be made, while nothing is wrong: ${String(Cause.squash(cause))}`)
    )
  )
}

/** Whether the call may be made once more, and how long to wait before. */
const pauseOf = (exit: Exit.Exit<unknown, unknown>, now: number): Duration.Duration | undefined => {
  const error = Exit.isFailure(exit) ? Option.getOrUndefined(Cause.findErrorOption(exit.cause)) : undefined
  if (!isProviderError(error) || error._tag !== "RetryableError") return undefined
  const pause = Duration.max(rest, error.retryAfter ?? Duration.zero)
  const until = error.retryUntil ?? Number.POSITIVE_INFINITY
  return now + Duration.toMillis(pause) < until ? pause : undefined
}

const hasLedger = (simulated: SimulatedProvider): boolean =>
  Predicate.hasProperty(simulated, "ledger") && Predicate.hasProperty(simulated.ledger, "entries")

const program = Effect.fnUntraced(function* (
  options: AnyOptions,
  subject: Subject,
  sample: Sample<unknown, unknown>,
  strike: Strike
) {
  const simulated = yield* options.simulated
  if (!hasLedger(simulated)) {
    return yield* Effect.die(
      new ConformanceError(
        `the simulated ${options.provider.name} has no ledger, so nobody can say what it did: give SimulatedProvider.make a new Ledger()`
      )
    )
  }
  const trigger = new Trigger(strike)
  const sent: Array<HttpClientRequest.HttpClientRequest> = []
  const network = yield* SimulatedNetwork.client([trigger.around(simulated)], { plan: trigger.plan })
  // Last before the wire: what the client's own layers do to a request is done.
  const watched = HttpClient.transform(network, (exchange, request) =>
    Effect.andThen(
      Effect.sync(() => void sent.push(request)),
      exchange
    )
  )
  const live = Layer.provide(options.layer, Layer.succeed(HttpClient.HttpClient, watched))
  const client = Context.getUnsafe(yield* Effect.orDie(Layer.build(live)), options.service)
  const request = yield* resolve(sample, client)
  yield* Effect.sleep(rest)
  const before = simulated.ledger.entries.length
  const key = `conformance/${subject.path}`
  const call = Effect.fnUntraced(function* () {
    sent.length = 0
    const exit = yield* Effect.suspend(() => methodOf(client, subject.path)(request)).pipe(
      // Each call has a cell of its own: the caller starts anew, with the key that it would derive again.
      (effect) =>
        Effect.suspend(() => Effect.provideService(effect, Idempotency.CurrentKey, new Idempotency.KeyCell(key))),
      Effect.exit
    )
    trigger.armed = false
    const now = yield* Clock.currentTimeMillis
    yield* Effect.sleep(rest)
    return { now, called: { exit, sent: [...sent], entries: simulated.ledger.entries.slice(before) } satisfies Called }
  })
  trigger.armed = true
  const first = yield* call()
  const pause = pauseOf(first.called.exit, first.now + Duration.toMillis(rest))
  const again = pause === undefined ? undefined : (yield* Effect.andThen(Effect.sleep(pause), call())).called
  return { simulated, request, key, call: first.called, again } satisfies Observed
})

const stuck = (outcome: Exclude<Kernel.Outcome<unknown, unknown>, { readonly _tag: "Completed" }>): string => {
  switch (outcome._tag) {
    case "Deadlock":
      return "it hangs: nothing is left that could wake it"
    case "StepLimit":
      return "it never ends: the limit of steps was reached"
    case "TimeLimit":
      return "it never ends: the limit of virtual time was reached"
    case "Left":
      return `it leaves the simulation by ${outcome.leak.what}${outcome.leak.location === undefined ? "" : ` at ${outcome.leak.location}`}`
    case "UnknownChoice":
      return "it asks for a choice that there is not"
    case "Died":
      return `the process ${outcome.process} dies of a defect that nobody awaits`
  }
}

/** Runs a trial to its end, at once. Throws what makes the suite itself impossible. @category running @since 0.1.0 */
export const run = (options: AnyOptions, subject: Subject, sample: Sample<unknown, unknown>, strike: Strike): Trial => {
  const { outcome } = Kernel.run(program(options, subject, sample, strike))
  if (outcome._tag !== "Completed") return { _tag: "Stuck", why: stuck(outcome) }
  if (Exit.isSuccess(outcome.exit)) return { _tag: "Observed", observed: outcome.exit.value }
  const defect = Cause.squash(outcome.exit.cause)
  if (defect instanceof ConformanceError)
    throw new ConformanceError(`${options.provider.name}.${subject.path}: ${defect.message}`)
  throw new ConformanceError(
    `${options.provider.name}.${subject.path} cannot be tried: ${Predicate.isError(defect) ? defect.message : String(defect)}`
  )
}
