/**
 * A SendGrid that runs in the process and can be made to misbehave: its declaration with handlers behind it, its rate windows, its activity that lags behind, and a ledger of what it
 * really sent. Facts: https://www.twilio.com/docs/sendgrid/api-reference/how-to-use-the-sendgrid-v3-api/rate-limits (read 2026-11-21). @since 0.1.0
 */
import { SendGrid, api, regions } from "@breakwater/providers/sendgrid"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as Authentication from "../Authentication.ts"
import type { Received } from "../Exchange.ts"
import * as Exchanges from "../Exchange.ts"
import { Ledger } from "../Ledger.ts"
import { HttpApiBuilder, HttpServerResponse } from "../Platform.ts"
import * as RateWindow from "../RateWindow.ts"
import type { Part, SimulatedProvider } from "../SimulatedProvider.ts"
import * as SimulatedProviders from "../SimulatedProvider.ts"
import type { EmailEvent, Sent } from "./Account.ts"
import { Account } from "./Account.ts"
import type { Refusal } from "./Refusal.ts"
import * as Refusals from "./Refusal.ts"

export type {
  /** One event as SendGrid's webhook tells it. @category models @since 0.1.0 */
  EmailEvent
}

/** @category models @since 0.1.0 */
export interface Options {
  /** The only key that it takes. Default `SG.simulated.simulated`. */
  readonly apiKey?: string | undefined
  /** What the key may do. Default `mail.send` and `messages.read`, which needs SendGrid's add-on for email activity. */
  readonly scopes?: ReadonlyArray<string> | undefined
  /** Addresses that were verified as senders. Default: any. */
  readonly senders?: ReadonlyArray<string> | undefined
  /** Requests a second to send e-mails. Default `Infinity`: SendGrid publishes no number. */
  readonly sendLimit?: number | undefined
  /** Requests a minute to each other endpoint. Default 600, as answers of SendGrid's have been seen to say (https://stackoverflow.com/questions/43430416, read 2026-11-21). */
  readonly rateLimit?: number | undefined
  /** By how much the activity may lag behind what was accepted; in a simulation the plan decides each time, elsewhere it always does. Default `"1 minute"`; SendGrid publishes no number. */
  readonly activityLag?: Duration.Input | undefined
  /** From when an e-mail is accepted to its delivery or bounce. Default `"2 seconds"`. */
  readonly delivery?: Duration.Input | undefined
  /** How long the endpoints work. Default `0`. */
  readonly latency?: Duration.Input | undefined
}

/** A simulated SendGrid, and what its webhook has told. @category models @since 0.1.0 */
export interface SimulatedSendGrid extends SimulatedProvider {
  /** What has happened to e-mails by now, the oldest first, as data: nobody delivers it. */
  readonly events: Effect.Effect<ReadonlyArray<EmailEvent>>
}

/** The key that a simulated SendGrid takes when none is given. @category constants @since 0.1.0 */
export const defaultApiKey = "SG.simulated.simulated"

/** What the key of a simulated SendGrid may do when nothing is said: https://www.twilio.com/docs/sendgrid/ui/account-and-settings/teammate-permissions (read 2026-11-21). @category constants @since 0.1.0 */
export const defaultScopes: ReadonlyArray<string> = ["mail.send", "messages.read"]

/** The largest e-mail, 30 MB: https://docs.sendgrid.com/api-reference/mail-send/limitations (read 2026-11-21). */
const maxBytes = 30_000_000

const refused = (refusal: Refusal): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.jsonUnsafe(Refusals.bodyOf(refusal), { status: refusal.status })

const sent = (outcome: Result.Result<Sent, Refusal>): HttpServerResponse.HttpServerResponse => {
  if (Result.isFailure(outcome)) return refused(outcome.failure)
  return outcome.success._tag === "Validated"
    ? HttpServerResponse.empty({ status: 200 })
    : HttpServerResponse.empty({ status: 202, headers: { "x-message-id": outcome.success.messageId } })
}

interface Simulated {
  readonly account: Account
  readonly scopes: ReadonlyArray<string>
}

const emptyAccount = () =>
  new Account({ ledger: new Ledger(), deliveryMillis: 0, activityLagMillis: 0, senders: undefined })

/** Whom the handlers ask: they are the same for every account. */
const Current = Context.Reference<Simulated>("@breakwater/testkit/SendGrid/Current", {
  defaultValue: () => ({ account: emptyAccount(), scopes: [] })
})

/** A handler: asks the account, now. */
const ask = (f: (account: Account, now: number) => HttpServerResponse.HttpServerResponse) =>
  Effect.flatMap(Clock.currentTimeMillis, (now) => Effect.map(Current, ({ account }) => f(account, now)))

const handlers = Layer.mergeAll(
  HttpApiBuilder.group(api, "mail", (handlers) =>
    handlers.handle("send", ({ payload }) => ask((account, now) => sent(account.send(payload, now))))
  ),
  HttpApiBuilder.group(api, "messages", (handlers) =>
    handlers.handle("list", ({ query }) =>
      ask((account, now) => {
        const found = account.find(query.query, query.limit ?? 10, now)
        return Result.isSuccess(found) ? HttpServerResponse.jsonUnsafe(found.success) : refused(found.failure)
      })
    )
  ),
  HttpApiBuilder.group(api, "scopes", (handlers) =>
    handlers.handle("list", () => Effect.map(Current, ({ scopes }) => ({ scopes })))
  )
)

/** What an endpoint asks of a key, by the path; asking what it may do is free to every key. */
const needed = new Map([
  ["/v3/mail/send", "mail.send"],
  ["/v3/messages", "messages.read"]
])

const permitted =
  (scopes: ReadonlyArray<string>): Part =>
  (next) =>
  (request) => {
    const scope = needed.get(Exchanges.path(request))
    return scope === undefined || scopes.includes(scope)
      ? next(request)
      : Effect.succeed(Refusals.toAnswer(Refusals.forbidden))
  }

const bounded: Part = (next) => (request) =>
  request.body.length < maxBytes ? next(request) : Effect.succeed(Refusals.toAnswer(Refusals.tooLarge))

const quotaHeaders = ({ limit, remaining, resetAtMillis }: RateWindow.Left): Readonly<Record<string, string>> => ({
  "x-ratelimit-limit": String(limit),
  "x-ratelimit-remaining": String(remaining),
  "x-ratelimit-reset": String(Math.ceil(resetAtMillis / 1000))
})

const windowOf = (limit: number, window: Duration.Input): Part =>
  RateWindow.make({ limit, window, headers: quotaHeaders, refusal: () => Refusals.toAnswer(Refusals.rateLimited) })

/** Each endpoint has a window of its own. */
const perEndpoint =
  (windowFor: (path: string) => Part): Part =>
  (next) => {
    const windows = new Map<string, ReturnType<Part>>()
    return (request: Received) => {
      const path = Exchanges.path(request)
      const handle = windows.get(path) ?? windowFor(path)(next)
      windows.set(path, handle)
      return handle(request)
    }
  }

const partsOf = (options: Options, apiKey: string, scopes: ReadonlyArray<string>): ReadonlyArray<Part> => [
  Authentication.make({
    accepts: (request) => Authentication.keyIn(request.headers) === apiKey,
    refusal: (request) => Refusals.toAnswer(Refusals.unauthorized(Authentication.keyIn(request.headers)))
  }),
  permitted(scopes),
  perEndpoint((path) =>
    path === "/v3/mail/send"
      ? windowOf(options.sendLimit ?? Number.POSITIVE_INFINITY, "1 second")
      : windowOf(options.rateLimit ?? 600, "1 minute")
  ),
  bounded
]

/**
 * A simulated SendGrid, empty, until the scope closes. Give it to `SimulatedNetwork.layer` or to `Serve.make`, and judge by its `ledger`: kinds `email.accepted`, one a request,
 * and `email.delivered`, `email.bounced`, `email.dropped`, one a recipient. Its entries have `custom_args` as metadata.
 * @category constructors @since 0.1.0
 */
export const make = (options: Options = {}): Effect.Effect<SimulatedSendGrid, never, Scope.Scope> =>
  Effect.suspend(() => fresh(options))

/** A new account each time, so that one effect run twice is two SendGrids. */
const fresh = (options: Options): Effect.Effect<SimulatedSendGrid, never, Scope.Scope> => {
  const scopes = options.scopes ?? defaultScopes
  const ledger = new Ledger()
  const account = new Account({
    ledger,
    deliveryMillis: Duration.toMillis(options.delivery ?? Duration.seconds(2)),
    activityLagMillis: Duration.toMillis(options.activityLag ?? Duration.minutes(1)),
    senders: options.senders
  })
  const simulated = SimulatedProviders.make({
    provider: SendGrid.provider,
    handlers,
    state: Context.make(Current, { account, scopes }),
    ledger,
    words: Refusals.words,
    parts: partsOf(options, options.apiKey ?? defaultApiKey, scopes),
    latency: options.latency
  })
  return Effect.map(simulated, (provider) => ({
    ...provider,
    origins: Object.values(regions),
    events: Effect.map(Clock.currentTimeMillis, (now) => account.events(now))
  }))
}
