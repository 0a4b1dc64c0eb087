/**
 * A provider of no one, simulated: it takes deposits into an account. Its declaration, its handlers and its words are as small as they can be.
 */
import { Effect, Schema } from "effect"
import { Headers } from "effect/http"
import { HttpApi, HttpApiBuilder, HttpApiEndpoint, HttpApiGroup } from "effect/http-api"
import * as Auth from "@breakwater/core/Auth"
import * as Provider from "@breakwater/core/Provider"
import * as Safety from "@breakwater/core/Safety"
import { Exchange, Ledger, SimulatedProvider } from "@breakwater/testkit"

const Deposit = Schema.Struct({ id: Schema.String, amount: Schema.Int })

export const api = HttpApi.make("wallet").add(
  HttpApiGroup.make("deposits").add(
    HttpApiEndpoint.post("create", "/deposits", {
      payload: Schema.Struct({ amount: Schema.Int }),
      success: Deposit
    }).pipe(Safety.keyed({ header: "Idempotency-Key", window: "24 hours" })),
    HttpApiEndpoint.get("get", "/deposits/:id", {
      params: { id: Schema.String.check(Schema.isPattern(/^d\d+$/u)) },
      query: { page: Schema.optional(Schema.Int) },
      success: Deposit
    })
  )
)

export const provider = Provider.make("wallet", {
  api,
  environments: { sandbox: "https://sandbox.wallet.test", production: "https://api.wallet.test" },
  auth: Auth.bearer()
})

export const words: SimulatedProvider.Words = {
  invalid: (problem) => Exchange.json(422, problem),
  unknownPath: (request) => Exchange.json(404, { unknown: request.target }),
  failure: (status) => Exchange.json(status, { failed: status })
}

export const make = (options?: Partial<Pick<SimulatedProvider.Options<string, never>, "parts" | "latency">>) => {
  const ledger = new Ledger()
  const handlers = HttpApiBuilder.group(api, "deposits", (handlers) =>
    handlers
      .handle("create", ({ payload, request }) =>
        Effect.sync(() => {
          const id = `d${ledger.entries.length + 1}`
          const key = request.headers["idempotency-key"]
          const { amount } = payload
          if (amount < 0) throw new Error("a bug of the simulation")
          ledger.record({
            at: 0,
            operation: "deposits.create",
            kind: "deposit",
            key,
            amount,
            currency: "eur",
            ids: { deposit: id },
            metadata: {}
          })
          return { id, amount }
        })
      )
      .handle("get", ({ params }) => Effect.succeed({ id: params.id, amount: 1 }))
  )
  return SimulatedProvider.make({ provider, handlers, ledger, words, ...options })
}

/** A request as it arrives, with a body of JSON. */
export const deposit = (amount: unknown, headers: Record<string, string> = {}): Exchange.Received => ({
  method: "POST",
  target: "/deposits",
  headers: Headers.fromInput({ "content-type": "application/json", ...headers }),
  body: new TextEncoder().encode(JSON.stringify({ amount }))
})
