/** A provider with an operation of every safety, and bugs that can be planted into it. */
import { Context, Effect, Layer, Redacted, Schema } from "effect"
import { HttpClient, HttpClientRequest, HttpServerResponse } from "effect/http"
import { HttpApi, HttpApiBuilder, HttpApiEndpoint, HttpApiGroup } from "effect/http-api"
import * as Auth from "@breakwater/core/Auth"
import * as Client from "@breakwater/core/Client"
import * as Provider from "@breakwater/core/Provider"
import * as Safety from "@breakwater/core/Safety"
import { type Conformance, Exchange, IdempotencyKeys, Ledger, SimulatedProvider } from "@breakwater/testkit"

const keys = { header: "Idempotency-Key", window: "24 hours" } as const
const Payout = Schema.Struct({ id: Schema.String })
const payload = Schema.Struct({ cents: Schema.Int, memo: Schema.optionalKey(Schema.String) })

class NoFunds extends Schema.TaggedError<NoFunds>()("NoFunds", {}, { httpApiStatus: 402 }) {}

const api = HttpApi.make("payouts").add(
  HttpApiGroup.make("payouts").add(
    HttpApiEndpoint.get("get", "/payouts/:id", { params: { id: Schema.Int }, success: Payout }),
    HttpApiEndpoint.put("replace", "/payouts/:id", { params: { id: Schema.Int }, payload, success: Payout }),
    HttpApiEndpoint.post("create", "/payouts", { payload, success: Payout, error: NoFunds }).pipe(Safety.keyed(keys)),
    HttpApiEndpoint.post("send", "/payouts/send", { payload, success: Payout }),
    HttpApiEndpoint.post("search", "/payouts/search", { payload, success: Payout }).pipe(Safety.safe)
  )
)

export const provider = Provider.make("payouts", {
  api,
  environments: { sandbox: "https://sandbox.payouts.test", production: "https://api.payouts.test" },
  auth: Auth.bearer(),
  version: { header: "Payouts-Version", value: "3" },
  redaction: { fields: ["memo"] }
})

export class Payouts extends Context.Service<Payouts, Client.Of<typeof provider>>()("test/Payouts") {}

/** What a client does wrong on its way out. */
const through = (change: (client: HttpClient.HttpClient) => HttpClient.HttpClient) =>
  Layer.effect(HttpClient.HttpClient, Effect.map(HttpClient.HttpClient, change))

export const layer = Client.layer(Payouts, provider, { credential: Redacted.make("key-of-a-test") })

/** A header is lost, or another, between the client and the wire. */
export const layerWithHeader = (name: string, value: string | undefined) =>
  Layer.provide(
    layer,
    through(
      HttpClient.mapRequest((request) =>
        value === undefined
          ? HttpClientRequest.removeHeader(request, name)
          : HttpClientRequest.setHeader(request, name, value)
      )
    )
  )

/** No attempt is like the one before. */
export const layerThatVaries = Layer.unwrap(
  Effect.sync(() => {
    let count = 0
    const varied = HttpClient.mapRequest((request) => HttpClientRequest.appendUrlParam(request, "n", String(count++)))
    return Layer.provide(layer, through(varied))
  })
)

/** What has begun to wait cannot be stopped. */
export const layerThatHangs = Layer.provide(
  layer,
  through(HttpClient.transform((exchange) => Effect.uninterruptible(exchange)))
)

/** It waits for real time. */
export const layerThatLeaves = Layer.provide(
  layer,
  through(
    HttpClient.transform((exchange) =>
      Effect.andThen(
        Effect.promise(() => new Promise((resolve) => void setTimeout(resolve, 1))),
        exchange
      )
    )
  )
)

/** The app's own service puts something else in the place of an error of `create` or `get`. */
export const layerThatSays = (say: (error: unknown) => unknown) =>
  Layer.effect(
    Payouts,
    Effect.map(Payouts, ({ payouts }) => ({
      payouts: {
        ...payouts,
        get: ((request: never) => Effect.mapError(payouts.get(request), say)) as typeof payouts.get,
        create: ((request: never) => Effect.mapError(payouts.create(request), say)) as typeof payouts.create
      }
    }))
  ).pipe(Layer.provide(layer))

/** Something below the client sends again what has failed. */
export const layerThatResends = Layer.provide(layer, through(HttpClient.retry({ times: 1 })))

/** Bugs of a simulated provider. */
export interface Bugs {
  /** It takes no notice of idempotency keys. */
  readonly replays?: boolean
  /** It says that a request was carried out because its key is known. */
  readonly forgets?: boolean
  /** It pays what it refuses. */
  readonly paysAndRefuses?: boolean
  /** It knows no payout. */
  readonly knowsNone?: boolean
  /** Its search pays. */
  readonly searchPays?: boolean
  /** Replacing pays anew each time. */
  readonly replaceAdds?: boolean
  /** It writes everything down twice. */
  readonly recordsTwice?: boolean
  /** It writes nothing down. */
  readonly recordsNothing?: boolean
}

/** A key that is known is good enough for it. */
const forgetful = (): SimulatedProvider.Part => {
  const known = new Set<string>()
  return (next) => (request) =>
    Effect.suspend(() => {
      const key = request.headers[keys.header.toLowerCase()]
      if (key === undefined || !known.has(key)) {
        if (key !== undefined) known.add(key)
        return next(request)
      }
      return Effect.succeed(Exchange.json(200, { id: "p" }))
    })
}

export const simulated = (bugs: Bugs = {}) =>
  Effect.suspend(() => {
    const ledger = new Ledger()
    const pay = (cents: number, id = `p${ledger.entries.length}`) => {
      if (bugs.recordsNothing !== true) ledger.record({ kind: "payout", amount: cents, ids: { payout: id } })
      if (bugs.recordsTwice === true) ledger.record({ kind: "fee" })
      return { id }
    }
    const handlers = HttpApiBuilder.group(api, "payouts", (handlers) =>
      handlers
        .handle("get", ({ params }) =>
          Effect.succeed(
            bugs.knowsNone === true ? HttpServerResponse.empty({ status: 404 }) : { id: String(params.id) }
          )
        )
        .handle("replace", ({ params, payload }) =>
          Effect.sync(() => pay(payload.cents, bugs.replaceAdds === true ? undefined : String(params.id)))
        )
        .handle("create", ({ payload }) =>
          payload.cents === 13
            ? Effect.andThen(
                Effect.sync(() => (bugs.paysAndRefuses === true ? pay(13) : undefined)),
                Effect.fail(new NoFunds())
              )
            : Effect.sync(() => pay(payload.cents))
        )
        .handle("send", ({ payload }) => Effect.sync(() => pay(payload.cents)))
        .handle("search", ({ payload }) =>
          Effect.sync(() => (bugs.searchPays === true ? pay(payload.cents) : { id: "none" }))
        )
    )
    const part = bugs.forgets === true ? forgetful() : IdempotencyKeys.make(keys)
    return SimulatedProvider.make({ provider, handlers, ledger, parts: bugs.replays === true ? [] : [part] })
  })

/** The suite, with nothing said beyond what it needs. */
export const suite = { provider, service: Payouts, layer, simulated: simulated() }

/** Each operation and rule that a report has broken, once. */
export const broken = ({ violations }: Conformance.Report) =>
  [...new Set(violations.map(({ operation, rule }) => `${operation}: ${rule}`))].toSorted()
