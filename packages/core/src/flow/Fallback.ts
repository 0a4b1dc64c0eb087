/**
 * What to answer when a provider does not (DEGR-1): a value, the last that was known, what is left of many parts, another provider. A fallback answers for what may pass, a `RetryableError` or a feature
 * that is off; what is wrong stays an error, and a write goes elsewhere only if it was not sent (ADR 0012). Each notes itself for `Answer.capture`, is counted, and is said in a line when it begins and when it
 * is over. @since 0.1.0
 */
// A fallback hands on whatever else its effect fails with, and looks only into errors of ours.
// @effect-diagnostics anyUnknownInErrorContext:off
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as ExecutionPlan from "effect/ExecutionPlan"
import type * as Fiber from "effect/Fiber"
import * as Result from "effect/Result"
import type { OutcomeUnknown } from "../vocabulary/ProviderError.ts"
import { FatalError, RetryableError } from "../vocabulary/ProviderError.ts"
import type { Trouble } from "./Degradation.ts"
import * as Degradation from "./Degradation.ts"
import { FeatureOff } from "./FeatureOff.ts"

export { FeatureOff } from "./FeatureOff.ts"

/** @category models @since 0.1.0 */
export interface Options {
  /** A word for logs and metrics, such as `recommendations`: one of few, not made of what a call is about. */
  readonly name: string
}

/**
 * Which errors a fallback answers: `retryable`, what may pass; `any`, errors of ours that stay as well, such as a request that the provider refuses: it is then never seen that it is wrong.
 * @category models @since 0.1.0
 */
export type Answers = "retryable" | "any"

/** @category models @since 0.1.0 */
export interface ReadOptions<W extends Answers> extends Options {
  /** Default `"retryable"`. */
  readonly answers?: W | undefined
}

/** The errors that are answered. @category type-level @since 0.1.0 */
export type Answered<W extends Answers> = RetryableError | FeatureOff | (W extends "any" ? FatalError : never)

/** Refuses an effect that may write. @category type-level @since 0.1.0 */
export type Reads<E> = [Extract<E, OutcomeUnknown>] extends [never]
  ? unknown
  : "this fallback answers for reads, and the effect writes: its outcome may be unknown"

type AnyFiber = Fiber.Fiber<unknown, unknown>

/** A read that failed so may be answered otherwise. */
const isAnswered =
  (answers: Answers | undefined) =>
  (error: unknown): error is RetryableError | FeatureOff | FatalError =>
    error instanceof RetryableError || error instanceof FeatureOff || (answers === "any" && error instanceof FatalError)

/** A write that failed so was not carried out, nor will be. */
const isUnsent = (error: unknown): error is RetryableError | FeatureOff =>
  error instanceof FeatureOff || (error instanceof RetryableError && error.sent === "no")

/** Runs the effect; answers in its place where that is to be, and says so. */
const answering = <A, E, R, B, E2, R2>(
  self: Effect.Effect<A, E, R>,
  name: string,
  answer: (error: E, fiber: AnyFiber) => Effect.Effect<B, E2, R2>
): Effect.Effect<A | B, E2, R | R2> =>
  Effect.withFiber((fiber) =>
    Effect.matchEffect(self, {
      onFailure: (error) => answer(error, fiber),
      onSuccess: (value) => Degradation.well(fiber, name, value)
    })
  )

/** An answer that stands in for another, with all that is said about it. */
const instead = <A>(
  fiber: AnyFiber,
  { by, name, trouble }: { readonly name: string; readonly trouble: Trouble; readonly by: string },
  value: A,
  age?: Duration.Duration
): Effect.Effect<A> =>
  Effect.map(Degradation.degraded(fiber, name, trouble, by), () => {
    Degradation.note(fiber, trouble, age)
    return value
  })

/**
 * Answers a read with a value. **Example** `shop.recommendations().pipe(Fallback.value([], { name: "recommendations" }))`
 * @category combinators @since 0.1.0
 */
export const value =
  <B, const W extends Answers = "retryable">(value: B, { answers, name }: ReadOptions<W>) =>
  <A, E, R>(self: Effect.Effect<A, E, R> & Reads<E>): Effect.Effect<A | B, Exclude<E, Answered<W>>, R> => {
    const isOurs = isAnswered(answers)
    return answering(self as Effect.Effect<A, E, R>, name, (error, fiber) =>
      isOurs(error)
        ? instead(fiber, { name, trouble: error, by: "a value" }, value)
        : Effect.fail(error as Exclude<E, Answered<W>>)
    )
  }

/** @category models @since 0.1.0 */
export interface LastKnownGoodOptions<W extends Answers> extends ReadOptions<W> {
  /** Keys that are remembered, at least 1; the one that was answered longest ago is forgotten first. Default 1,000. */
  readonly capacity?: number | undefined
  /** Up to this age an answer is given again. Default `"1 hour"`. */
  readonly maxAge?: Duration.Input | undefined
}

/** The values used when an option is left out. @category constants @since 0.1.0 */
export const defaults = { capacity: 1000, maxAge: "1 hour", concurrency: 8 } as const

/** @category models @since 0.1.0 */
export interface LastKnownGood<A> {
  /** Remembers what the effect succeeds with, and gives it again where it fails. The key says what it is about, and whose it is. */
  readonly of: (key: string) => <E, R>(self: Effect.Effect<A, E, R> & Reads<E>) => Effect.Effect<A, E, R>
}

interface Known<A> {
  readonly value: A
  readonly at: number
}

/**
 * A memory of the last success of each key, in this process, which answers a read that fails. Its answers have their age. With nothing known, or nothing young enough, the error stays. Throws a `RangeError` for a
 * capacity below 1. **Example** `const rates = yield* Fallback.lastKnownGood<Rates>({ name: "fx.rates" })`, then `bank.rates().pipe(rates.of("eur"))`
 * @category constructors @since 0.1.0
 */
export const lastKnownGood = <A, const W extends Answers = "retryable">(
  options: LastKnownGoodOptions<W>
): Effect.Effect<LastKnownGood<A>> => {
  const { answers, capacity = defaults.capacity, maxAge = defaults.maxAge, name } = options
  if (!(capacity >= 1)) throw new RangeError(`Fallback.lastKnownGood: capacity must be at least 1, got ${capacity}`)
  const maxAgeMillis = Duration.toMillis(maxAge)
  const isOurs = isAnswered(answers)
  return Effect.sync(() => {
    const known = new Map<string, Known<A>>()
    const remember = (key: string, value: A, at: number): void => {
      known.delete(key)
      const oldest = known.keys().next()
      if (known.size >= capacity && oldest.done !== true) known.delete(oldest.value)
      known.set(key, { value, at })
    }
    return {
      of:
        (key) =>
        <E, R>(self: Effect.Effect<A, E, R> & Reads<E>) => {
          const remembered = Effect.tap(self as Effect.Effect<A, E, R>, (value) =>
            Effect.map(Clock.currentTimeMillis, (now) => remember(key, value, now))
          )
          return answering(remembered, name, (error, fiber) =>
            Effect.flatMap(Clock.currentTimeMillis, (now) => {
              const last = known.get(key)
              if (last === undefined || now - last.at > maxAgeMillis || !isOurs(error)) return Effect.fail(error)
              const age = Duration.millis(now - last.at)
              return instead(fiber, { name, trouble: error, by: "the last that was known" }, last.value, age)
            })
          )
        }
    }
  })
}

/** @category models @since 0.1.0 */
export interface ElsewhereOptions<Of extends "reads" | "writes"> extends Options {
  /** `writes`: only what was not sent, nor may be in doubt, goes elsewhere. `reads`: whatever may pass; an effect that may write does not compile. Default `"writes"`. */
  readonly of?: Of | undefined
}

/** Refuses an effect that may write where only reads go elsewhere. @category type-level @since 0.1.0 */
export type GoesElsewhere<Of, E> = Of extends "reads" ? Reads<E> : unknown

/** What stays an error where the other way was found. @category type-level @since 0.1.0 */
export type Kept<Of, E> = Of extends "reads" ? Exclude<E, RetryableError | FeatureOff> : Exclude<E, FeatureOff>

/**
 * Does another thing where the first was not done. A declared error, a `FatalError` and an `OutcomeUnknown` stay: a card that was declined is not tried elsewhere, a charge of which nobody knows is not made twice.
 * @category combinators @since 0.1.0
 */
export const to =
  <B, E2, R2, const Of extends "reads" | "writes" = "writes">(
    other: Effect.Effect<B, E2, R2>,
    { name, of }: ElsewhereOptions<Of>
  ) =>
  <A, E, R>(self: Effect.Effect<A, E, R> & GoesElsewhere<Of, E>): Effect.Effect<A | B, Kept<Of, E> | E2, R | R2> => {
    const isOurs = of === "reads" ? isAnswered(undefined) : isUnsent
    return answering(self as Effect.Effect<A, E, R>, name, (error, fiber): Effect.Effect<B, Kept<Of, E> | E2, R2> =>
      isOurs(error)
        ? Effect.flatMap(other, (value) => instead(fiber, { name, trouble: error, by: "another effect" }, value))
        : Effect.fail(error as Kept<Of, E>)
    )
  }

/** One of several that can do the same. @category models @since 0.1.0 */
export interface Step<P> {
  /** Of the provider, for logs. */
  readonly name: string
  /** What the effect requires, as this provider has it. Built once and not for each call, since its circuits and budgets live in it. */
  readonly provide: Context.Context<P>
}

/**
 * Runs the effect with the first provider, and where that was not done with the next: Effect's `ExecutionPlan`, which by itself moves on after *any* error, with what must stay taken out of its way. The error is that of the
 * last one tried. **Example** `charge(order).pipe(Fallback.providers([{ name: "stripe", provide: stripe }, { name: "bank", provide: bank }], { name: "payments" }))`
 * @category combinators @since 0.1.0
 */
export const providers = <P, const Of extends "reads" | "writes" = "writes">(
  steps: readonly [Step<P>, ...ReadonlyArray<Step<P>>],
  { name, of }: ElsewhereOptions<Of>
) => {
  const [first, ...others] = steps
  const stepOf = ({ provide }: Step<P>) => ({ provide })
  const plan = ExecutionPlan.make(stepOf(first), ...others.map(stepOf))
  const isOurs = of === "reads" ? isAnswered(undefined) : isUnsent
  return <A, E, R>(self: Effect.Effect<A, E, R> & GoesElsewhere<Of, E>): Effect.Effect<A, E, Exclude<R, P>> =>
    Effect.withFiber((fiber) => {
      let trouble: Trouble | undefined
      const attempt = (self as Effect.Effect<A, E, R>).pipe(
        Effect.map((value): Result.Result<A, E> => Result.succeed(value)),
        Effect.catch((error) => {
          if (!isOurs(error)) return Effect.succeed(Result.fail(error))
          trouble = error
          return Effect.fail(error)
        }),
        Effect.zip(ExecutionPlan.CurrentMetadata)
      )
      const planned = Effect.withExecutionPlan(attempt, plan) as Effect.Effect<
        [Result.Result<A, E>, ExecutionPlan.Metadata],
        E,
        Exclude<R, P>
      >
      return Effect.flatMap(planned, ([result, { stepIndex }]) => {
        if (Result.isFailure(result)) return Effect.fail(result.failure)
        if (trouble === undefined) return Degradation.well(fiber, name, result.success)
        return instead(fiber, { name, trouble, by: steps[stepIndex]?.name ?? "another" }, result.success)
      })
    })
}

/** @category models @since 0.1.0 */
export interface PartialOptions<W extends Answers> extends ReadOptions<W> {
  /** Parts that run at once, at least 1. Default 8. */
  readonly concurrency?: number | undefined
}

type Parts = Readonly<Record<string, Effect.Effect<unknown, unknown, unknown>>>

/** A part that is not there. @category models @since 0.1.0 */
export interface Absent<Name> {
  readonly name: Name
  readonly because: RetryableError | FatalError | FeatureOff
}

/** What is there of many parts. @category models @since 0.1.0 */
export interface PartialAnswer<P extends Parts> {
  /** `undefined` where a part is absent. */
  readonly parts: { readonly [K in keyof P]: Effect.Success<P[K]> | undefined }
  /** The parts that failed, in their order. */
  readonly absent: ReadonlyArray<Absent<keyof P & string>>
}

/**
 * Runs the parts of an answer and gives those that succeeded, with the names of the others; what no fallback answers for fails the whole.
 * **Example** `Fallback.partial({ customer: crm.get(id), orders: shop.orders(id) }, { name: "customer page" })`
 * @category constructors @since 0.1.0
 */
export const partial = <const P extends Parts, const W extends Answers = "retryable">(
  parts: P & { readonly [K in keyof P]: Reads<Effect.Error<P[K]>> },
  { answers, concurrency = defaults.concurrency, name }: PartialOptions<W>
): Effect.Effect<PartialAnswer<P>, Exclude<Effect.Error<P[keyof P]>, Answered<W>>, Effect.Services<P[keyof P]>> => {
  const isOurs = isAnswered(answers)
  const part = ([part, effect]: readonly [string, Effect.Effect<unknown, unknown, unknown>]) =>
    Effect.matchEffect(effect, {
      onFailure: (error) => (isOurs(error) ? Effect.succeed([part, undefined, error] as const) : Effect.fail(error)),
      onSuccess: (value) => Effect.succeed([part, value, undefined] as const)
    })
  const all = Effect.withFiber((fiber) =>
    Effect.flatMap(Effect.forEach(Object.entries<Parts[string]>(parts), part, { concurrency }), (ended) => {
      const absent = ended.flatMap(([part, , because]) => (because === undefined ? [] : [{ name: part, because }]))
      const whole = { parts: Object.fromEntries(ended), absent }
      const [first] = absent
      if (first === undefined) return Degradation.well(fiber, name, whole)
      const by = `what is left without ${absent.map(({ name: missing }) => missing).join(", ")}`
      return instead(fiber, { name, trouble: first.because, by }, whole)
    })
  )
  return all as Effect.Effect<
    PartialAnswer<P>,
    Exclude<Effect.Error<P[keyof P]>, Answered<W>>,
    Effect.Services<P[keyof P]>
  >
}

/** @category models @since 0.1.0 */
export interface OffOptions extends Options {
  /** Read at each call, from the `ConfigProvider` at hand. A variable that is not there means no. */
  readonly when: Config.Config<boolean>
}

/**
 * Switches a feature off by `Config`: nobody is called, and `FeatureOff` says so, which other fallbacks answer. A value that cannot be read is a `ConfigError`.
 * **Example** `Fallback.off({ name: "recommendations", when: Config.Boolean("RECOMMENDATIONS_OFF") })`
 * @category combinators @since 0.1.0
 */
export const off =
  ({ name, when }: OffOptions) =>
  <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E | FeatureOff | Config.ConfigError, R> =>
    Effect.withFiber((fiber) =>
      Effect.flatMap(Config.withDefault(when, false), (isOff): Effect.Effect<A, E | FeatureOff, R> => {
        if (!isOff) return Effect.flatMap(self, (value) => Degradation.well(fiber, name, value))
        const trouble = new FeatureOff({ feature: name })
        return Effect.andThen(Degradation.degraded(fiber, name, trouble, "nobody"), Effect.fail(trouble))
      })
    )
