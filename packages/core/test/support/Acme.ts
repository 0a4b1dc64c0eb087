/**
 * A provider of no one, declared as a user would: one operation of each kind that the pipeline treats in its own way.
 */
import { Context, Effect, Layer, Redacted, Schema, type Scope } from "effect"
import { HttpApi, HttpApiEndpoint, HttpApiGroup, HttpApiSchema } from "effect/http-api"
import { Predicate } from "effect"
import * as Client from "@breakwater/core/Client"
import * as Auth from "@breakwater/core/Auth"
import type { CallPolicyError } from "@breakwater/core/CallPolicy"
import * as Operation from "@breakwater/core/Operation"
import * as Provider from "@breakwater/core/Provider"
import * as Safety from "@breakwater/core/Safety"
import type { FakeTransport } from "./FakeTransport.ts"

export const Order = Schema.Struct({
  id: Schema.String,
  amount: Schema.Int,
  lines: Schema.optional(Schema.Array(Schema.Struct({ sku: Schema.String, count: Schema.Int })))
})

/** The card said no: a domain error, declared. */
export class Declined extends Schema.TaggedError<Declined>("test/Declined")(
  "Declined",
  { code: Schema.String, card: Schema.optional(Schema.String) },
  { httpApiStatus: 402 }
) {}

export const window = "24 hours"
export const keys = { header: "Idempotency-Key", window, replayedHeader: "Idempotent-Replayed" } as const

const id = { id: Schema.String }

const orders = HttpApiGroup.make("orders").add(
  HttpApiEndpoint.get("get", "/orders/:id", { params: id, success: Order }),
  HttpApiEndpoint.get("find", "/orders", {
    query: { q: Schema.String },
    headers: { "x-note": Schema.optional(Schema.String) },
    success: Schema.Array(Order)
  }),
  HttpApiEndpoint.post("search", "/orders/search", {
    payload: Schema.Struct({ q: Schema.String }),
    success: Schema.Array(Order)
  }).pipe(Safety.safe),
  HttpApiEndpoint.put("replace", "/orders/:id", {
    params: id,
    payload: Schema.Struct({ amount: Schema.Int }),
    success: Order
  }).pipe(Operation.cost(2)),
  HttpApiEndpoint.delete("remove", "/orders/:id", { params: id, success: HttpApiSchema.NoContent }),
  HttpApiEndpoint.post("create", "/orders", {
    payload: Schema.Struct({ amount: Schema.Int, note: Schema.optional(Schema.String) }),
    success: Order,
    error: Declined
  }).pipe(Safety.keyed(keys)),
  HttpApiEndpoint.post("capture", "/orders/:id/capture", {
    params: id,
    payload: Schema.Struct({ amount: Schema.Int }),
    success: Order,
    error: Declined
  }),
  HttpApiEndpoint.get("ping", "/ping", { success: HttpApiSchema.NoContent })
)

export const api = HttpApi.make("acme").add(orders)

/** The code of `{"error": {"code": …}}`. */
const codeOf = (body: unknown): string | undefined => {
  if (!Predicate.hasProperty(body, "error") || !Predicate.hasProperty(body.error, "code")) return undefined
  return Predicate.isString(body.error.code) ? body.error.code : undefined
}

export const errors = {
  code: codeOf,
  rules: [
    { status: [409, 423, 425], code: "in_flight", means: "Locked" },
    { status: 409, code: "key_reused", means: "IdempotencyMismatch" },
    { status: 429, code: "quota", means: "QuotaExhausted" },
    { status: 400, code: "slow_down", means: "RateLimited" },
    { status: 503, code: "maintenance", means: "Unavailable", refusedBeforeWork: true },
    { status: 408, code: "not_read", means: "Unavailable", refusedBeforeWork: true }
  ]
} as const

export const provider = Provider.make("acme", {
  api,
  environments: { sandbox: "https://sandbox.acme.test", production: "https://api.acme.test" },
  auth: Auth.bearer({ keys: { sandbox: /^test_/u, production: /^live_/u } }),
  version: { header: "Acme-Version", value: "2026-11-01" },
  errors,
  requestIdHeader: "Acme-Request-Id",
  probe: "orders.ping"
})

export class Acme extends Context.Service<Acme, Client.Of<typeof provider>>()("test/Acme") {}

export type AcmeClient = Client.Of<typeof provider>

export const apiKey = Redacted.make("test_4242abcd")
export const liveKey = Redacted.make("live_4242abcd")

/** Acme as another would declare it. */
export const variant = (changes: Partial<Provider.ProviderOptions<typeof api>>): typeof provider => ({
  ...provider,
  ...changes
})

/** The client of a provider like Acme, over a fake transport, until the scope of the test closes. */
export const connectTo = (
  declared: typeof provider,
  transport: Pick<FakeTransport, "layer">,
  options?: Partial<Client.LayerOptions>
): Effect.Effect<Client.Of<typeof provider>, Client.ConnectionError | CallPolicyError, Scope.Scope> =>
  Layer.build(
    Client.layer(Acme, declared, { credential: apiKey, ...options }).pipe(Layer.provide(transport.layer))
  ).pipe(Effect.map(Context.get(Acme)))

/** The client of Acme itself. */
export const connect = (transport: Pick<FakeTransport, "layer">, options?: Partial<Client.LayerOptions>) =>
  connectTo(provider, transport, options)
