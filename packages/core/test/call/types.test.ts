/**
 * What must compile, and what must not. Nothing here is run beyond being loaded: a line that the compiler would take, where it must not, is an unused `@ts-expect-error`.
 */
// The compiler says the same of each `@ts-expect-error` below.
// @effect-diagnostics missingEffectError:off missingEffectContext:off
import { assert, describe, it } from "@effect/vitest"
import { Call, Idempotency, type ProviderError } from "@breakwater/core"
import { Effect } from "effect"
import type * as Acme from "../support/Acme.ts"

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
type Retryable = ProviderError.RetryableError
type Fatal = ProviderError.FatalError
type Unknown = ProviderError.OutcomeUnknown

/** Compiles only for `true`. */
const holds = <_ extends true>(): void => undefined

declare const acme: Acme.AcmeClient
declare const connected: Call.Connected

const params = { id: "o1" }
const payload = { amount: 1 }

/** Given to the compiler, never run. */
const unrun = (_: () => unknown): void => undefined

describe("the error channel follows the safety (DESIGN §3)", () => {
  it("is the two classes for what may be repeated, and OutcomeUnknown beside them for writes", () => {
    type ErrorOf<F extends (...args: never) => Effect.Effect<unknown, unknown, unknown>> = Effect.Error<ReturnType<F>>
    type Orders = Acme.AcmeClient["orders"]

    holds<Equal<ErrorOf<Orders["get"]>, Retryable | Fatal>>()
    holds<Equal<ErrorOf<Orders["search"]>, Retryable | Fatal>>()
    holds<Equal<ErrorOf<Orders["replace"]>, Retryable | Fatal>>()
    holds<Equal<ErrorOf<Orders["remove"]>, Retryable | Fatal>>()
    holds<Equal<ErrorOf<Orders["create"]>, Retryable | Fatal | Unknown | Acme.Declined>>()
    holds<Equal<ErrorOf<Orders["capture"]>, Retryable | Fatal | Unknown | Acme.Declined>>()
    assert.isTrue(true)
  })

  it("does not let OutcomeUnknown go unhandled where the error is stated", () => {
    unrun((): Effect.Effect<unknown, Retryable | Fatal> => acme.orders.replace({ params, payload }))
    // @ts-expect-error OutcomeUnknown and the declared error are not handled
    unrun((): Effect.Effect<unknown, Retryable | Fatal> => acme.orders.capture({ params, payload }))
    unrun((): Effect.Effect<unknown, Retryable | Fatal> =>
      acme.orders
        .capture({ params, payload })
        .pipe(Effect.catchTag(["OutcomeUnknown", "Declined"], () => Effect.succeed("ask")))
    )
    // @ts-expect-error a read cannot end unknown, so there is nothing to catch
    unrun(() => acme.orders.get({ params }).pipe(Effect.catchTag("OutcomeUnknown", () => Effect.void)))
    assert.isTrue(true)
  })

  it("lets a reason be caught by its name", () => {
    unrun(() =>
      acme.orders
        .get({ params })
        .pipe(Effect.catchReason("FatalError", "NotFound", ({ status }) => Effect.succeed(status)))
    )
    // @ts-expect-error no reason has that name
    unrun(() => acme.orders.get({ params }).pipe(Effect.catchReason("FatalError", "Lost", () => Effect.void)))
    assert.isTrue(true)
  })
})

describe("the key requirement (IDEM-1)", () => {
  it("is there for keyed operations only, with the operation's name", () => {
    type RequirementOf<F extends (...args: never) => Effect.Effect<unknown, unknown, unknown>> = Effect.Services<
      ReturnType<F>
    >
    type Orders = Acme.AcmeClient["orders"]

    holds<Equal<RequirementOf<Orders["get"]>, never>>()
    holds<Equal<RequirementOf<Orders["capture"]>, never>>()
    holds<Equal<RequirementOf<Orders["create"]>, Idempotency.IdempotencyKey<"acme.orders.create">>>()
    assert.isTrue(true)
  })

  it("is met by one key for one operation", () => {
    const create = () => acme.orders.create({ payload })

    unrun(() => Effect.runPromise(create().pipe(Idempotency.withKey("k"))))
    // @ts-expect-error no key
    unrun(() => Effect.runPromise(create()))
    // @ts-expect-error a key for nothing
    unrun(() => acme.orders.capture({ params, payload }).pipe(Idempotency.withKey("k")))
    // @ts-expect-error a second key for what has one
    unrun(() => create().pipe(Idempotency.withKey("k"), Idempotency.withKey("l")))
    assert.isTrue(true)
  })

  it("is not met by one key for two operations", () => {
    const both = () =>
      Effect.andThen(
        acme.orders.create({ payload }),
        Call.protect(Effect.void, { provider: connected, operation: "mail", safety: "keyed" })
      )

    // @ts-expect-error one key names one operation
    unrun(() => both().pipe(Idempotency.withKey("k")))
    assert.isTrue(true)
  })

  it("of many is met by a key of each item", () => {
    const charge = (amount: number) => acme.orders.create({ payload: { amount } })

    unrun(() => Effect.runPromise(Effect.forEach([1, 2], Idempotency.withKeyOf((n: number) => `o/${n}`)(charge))))
    // @ts-expect-error no key
    unrun(() => Effect.runPromise(Effect.forEach([1, 2], charge)))
    assert.isTrue(true)
  })
})

describe("Call.protect", () => {
  class Broken {
    readonly _tag = "Broken"
  }
  const effect = Effect.fail(new Broken()) as Effect.Effect<number, Broken>

  it("adds the errors and the requirement of the safety that it is told", () => {
    const safe = () => Call.protect(effect, { provider: connected, operation: "read", safety: "safe" })
    const unsafe = () => Call.protect(effect, { provider: connected, operation: "write", safety: "unsafe" })
    const keyed = () => Call.protect(effect, { provider: connected, operation: "pay", safety: "keyed" })

    holds<Equal<ReturnType<typeof safe>, Effect.Effect<number, Broken | Retryable | Fatal>>>()
    holds<Equal<ReturnType<typeof unsafe>, Effect.Effect<number, Broken | Retryable | Fatal | Unknown>>>()
    holds<Equal<Effect.Services<ReturnType<typeof keyed>>, Idempotency.IdempotencyKey<"pay">>>()
    // @ts-expect-error no such safety
    unrun(() => Call.protect(effect, { provider: connected, operation: "read", safety: "harmless" }))
    assert.isTrue(true)
  })
})

describe("a method's request", () => {
  it("has what the endpoint declares, and nothing else", () => {
    unrun(() => acme.orders.ping())
    unrun(() => acme.orders.find({ query: { q: "a" }, headers: {} }))
    // @ts-expect-error no params
    unrun(() => acme.orders.get())
    // @ts-expect-error a param too many
    unrun(() => acme.orders.get({ params: { id: "o1", other: "x" } }))
    // @ts-expect-error the amount is a number
    unrun(() => acme.orders.capture({ params, payload: { amount: "1" } }))
    // @ts-expect-error how the answer is handed on is not the caller's
    unrun(() => acme.orders.get({ params, responseMode: "response-only" }))
    assert.isTrue(true)
  })
})
