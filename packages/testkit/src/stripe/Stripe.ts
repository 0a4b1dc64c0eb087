/**
 * A Stripe that runs in the process and can be made to misbehave: its declaration with handlers behind it, its idempotency keys, its rate window, and a ledger of what it really
 * charged. Facts: https://docs.stripe.com/error-low-level and https://docs.stripe.com/rate-limits (read 2026-11-21). @since 0.1.0
 */
import { Stripe, api } from "@breakwater/providers/stripe"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as Authentication from "../Authentication.ts"
import type { Received } from "../Exchange.ts"
import * as Exchanges from "../Exchange.ts"
import * as IdempotencyKeys from "../IdempotencyKeys.ts"
import { Ledger } from "../Ledger.ts"
import type { HttpServerRequest } from "../Platform.ts"
import { HttpApiBuilder, HttpServerResponse } from "../Platform.ts"
import * as RateWindow from "../RateWindow.ts"
import type { Part, SimulatedProvider } from "../SimulatedProvider.ts"
import * as SimulatedProviders from "../SimulatedProvider.ts"
import type { Asked } from "./Account.ts"
import { Account } from "./Account.ts"
import type { Refusal } from "./Refusal.ts"
import * as Refusals from "./Refusal.ts"

/** @category models @since 0.1.0 */
export interface Options {
  /** The only key that it takes. Live mode if it begins with `sk_live_`. Default `sk_test_simulated`. */
  readonly apiKey?: string | undefined
  /** Requests a second; `Infinity` for no limit. Default 25, in live mode 100, as Stripe has it. */
  readonly rateLimit?: number | undefined
  /** How long the endpoints work, while the request's idempotency key is in use. Default `0`. */
  readonly latency?: Duration.Input | undefined
  /** How long an answer is kept under its idempotency key. Default `"24 hours"`. */
  readonly keyWindow?: Duration.Input | undefined
}

/** The key that a simulated Stripe takes when none is given. @category constants @since 0.1.0 */
export const defaultApiKey = "sk_test_simulated"

const answered = (outcome: Result.Result<object, Refusal>): HttpServerResponse.HttpServerResponse =>
  Result.isSuccess(outcome)
    ? HttpServerResponse.jsonUnsafe(outcome.success)
    : HttpServerResponse.jsonUnsafe(Refusals.bodyOf(outcome.failure), { status: outcome.failure.status })

/** Whom the handlers ask: they are the same for every account. */
const CurrentAccount = Context.Reference<Account>("@breakwater/testkit/Stripe/CurrentAccount", {
  defaultValue: () => new Account({ ledger: new Ledger(), livemode: false })
})

/** A handler: asks the account, now, in the name of a request. */
const ask = (
  operation: string,
  request: HttpServerRequest.HttpServerRequest,
  f: (account: Account, asked: Asked) => Result.Result<object, Refusal>
) =>
  Effect.flatMap(Clock.currentTimeMillis, (now) =>
    look((account) => f(account, { now, operation, key: request.headers["idempotency-key"] }))
  )

/** A handler that changes nothing. */
const look = (f: (account: Account) => Result.Result<object, Refusal>) =>
  Effect.map(CurrentAccount, (account) => answered(f(account)))

const handlers = Layer.merge(
  HttpApiBuilder.group(api, "paymentIntents", (handlers) =>
    handlers
      .handle("create", ({ payload, request }) =>
        ask("paymentIntents.create", request, (account, asked) => account.create(payload, asked))
      )
      .handle("confirm", ({ params, payload, request }) =>
        ask("paymentIntents.confirm", request, (account, asked) => account.confirm(params.id, payload, asked))
      )
      .handle("cancel", ({ params, payload, request }) =>
        ask("paymentIntents.cancel", request, (account, asked) => account.cancel(params.id, payload, asked))
      )
      .handle("retrieve", ({ params }) => look((account) => account.retrieve(params.id)))
      .handle("list", ({ query }) => look((account) => account.list(query)))
  ),
  HttpApiBuilder.group(api, "refunds", (handlers) =>
    handlers
      .handle("create", ({ payload, request }) =>
        ask("refunds.create", request, (account, asked) => account.refund(payload, asked))
      )
      .handle("retrieve", ({ params }) => look((account) => account.retrieveRefund(params.id)))
  )
)

/** The headers that every answer of Stripe's has. */
const signed =
  (account: Account): Part =>
  (next) =>
  (request) =>
    Effect.map(next(request), (answer) => {
      const key = request.headers["idempotency-key"]
      const headers = {
        ...answer.headers,
        "request-id": account.nextId("req"),
        "stripe-version": request.headers["stripe-version"] ?? Stripe.provider.version?.value ?? "",
        ...(key === undefined || request.method !== "POST" ? {} : { "idempotency-key": key })
      }
      return { ...answer, headers }
    })

/** Stripe reads every body as a form, whatever it says it is. */
const formsOnly: Part = (next) => (request) =>
  next({ ...request, headers: { ...request.headers, "content-type": "application/x-www-form-urlencoded" } })

/** The parameters, in whatever order they came. */
const fingerprint = (request: Received): string => {
  const params = new URLSearchParams(Exchanges.text(request))
  params.sort()
  return `${request.method} ${Exchanges.path(request)}\n${params.toString()}`
}

const partsOf = (account: Account, options: Options, apiKey: string, live: boolean): ReadonlyArray<Part> => [
  signed(account),
  Authentication.make({
    accepts: (request) => Authentication.keyIn(request.headers) === apiKey,
    refusal: (request) => Refusals.toAnswer(Refusals.unauthorized(Authentication.keyIn(request.headers)))
  }),
  // The limiter stands before the keys, so that a 429 is never stored under one.
  RateWindow.make({
    limit: options.rateLimit ?? (live ? 100 : 25),
    refusal: () => Refusals.toAnswer(Refusals.rateLimited, Refusals.rateHeaders)
  }),
  IdempotencyKeys.make({
    header: "Idempotency-Key",
    window: options.keyWindow ?? "24 hours",
    fingerprint,
    replayedHeaders: { "idempotent-replayed": "true" },
    inUse: (key) => Refusals.toAnswer(Refusals.keyInUse(key)),
    mismatch: (key) => Refusals.toAnswer(Refusals.keyMismatch(key)),
    tooLong: () => Refusals.toAnswer(Refusals.keyTooLong)
  }),
  formsOnly
]

/**
 * A simulated Stripe, empty, until the scope closes. Give it to `SimulatedNetwork.layer` or to `Serve.make`, and judge by its `ledger`: kinds `charge.succeeded`, `charge.declined`,
 * `payment.requires_action`, `payment.canceled`, `refund.succeeded`.
 * @category constructors @since 0.1.0
 */
export const make = (options: Options = {}): Effect.Effect<SimulatedProvider, never, Scope.Scope> =>
  Effect.suspend(() => fresh(options))

/** A new account each time, so that one effect run twice is two Stripes. */
const fresh = (options: Options) => {
  const apiKey = options.apiKey ?? defaultApiKey
  const live = apiKey.startsWith("sk_live_")
  const ledger = new Ledger()
  const account = new Account({ ledger, livemode: live })
  return SimulatedProviders.make({
    provider: Stripe.provider,
    handlers,
    state: Context.make(CurrentAccount, account),
    ledger,
    words: Refusals.words,
    parts: partsOf(account, options, apiKey, live),
    latency: options.latency
  })
}
