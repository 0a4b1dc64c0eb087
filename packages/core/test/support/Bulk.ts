/** A provider that takes many orders in one request, with and without a key, and tells of each. */
import { Context, Effect, Layer, Redacted, Schema } from "effect"
import { HttpApi, HttpApiBuilder, HttpApiEndpoint, HttpApiGroup } from "effect/http-api"
import { Auth, Batch, Client, Idempotency, Provider, Safety } from "@breakwater/core"
import type { FaultPlan } from "@breakwater/testkit"
import { IdempotencyKeys, Ledger, SimulatedNetwork, SimulatedProvider } from "@breakwater/testkit"

const keys = { header: "Idempotency-Key", window: "24 hours" } as const
const Order = Schema.Struct({ id: Schema.String })
const Told = Schema.Struct({ id: Schema.String, status: Schema.Int })
const bulk = { payload: Schema.Struct({ orders: Schema.Array(Order) }), success: Schema.Array(Told) }

const api = HttpApi.make("bulk").add(
  HttpApiGroup.make("orders").add(
    HttpApiEndpoint.post("plain", "/orders/plain", bulk),
    HttpApiEndpoint.post("keyed", "/orders/keyed", bulk).pipe(Safety.keyed(keys)),
    HttpApiEndpoint.put("upsert", "/orders", bulk)
  )
)

const provider = Provider.make("bulk", {
  api,
  environments: { sandbox: "https://sandbox.bulk.test", production: "https://api.bulk.test" },
  auth: Auth.bearer()
})

class Bulk extends Context.Service<Bulk, Client.Of<typeof provider>>()("test/Bulk") {}

type Order = typeof Order.Type

/** How orders are sent: without a key, with one for the request, or so that sending them twice changes nothing. */
export const ways = ["plain", "keyed", "upsert"] as const

export type Way = (typeof ways)[number]

/** Orders that begin with `x` are refused; every second order is asked to come later when it comes first. */
export const simulated = Effect.suspend(() => {
  const ledger = new Ledger()
  const seen = new Set<string>()
  const take = (id: string, once: boolean): number => {
    if (id.startsWith("x")) return 422
    const isNew = !seen.has(id)
    seen.add(id)
    if (isNew && id.endsWith("2")) return 429
    if (!once || ledger.byMetadata("order", id).length === 0) ledger.record({ kind: "order", metadata: { order: id } })
    return 200
  }
  const takeAll = (once: boolean) => (request: { readonly payload: { readonly orders: ReadonlyArray<Order> } }) =>
    Effect.sync(() => request.payload.orders.map(({ id }) => ({ id, status: take(id, once) })))
  const handlers = HttpApiBuilder.group(api, "orders", (handlers) =>
    handlers.handle("plain", takeAll(false)).handle("keyed", takeAll(false)).handle("upsert", takeAll(true))
  )
  return SimulatedProvider.make({ provider, handlers, ledger, parts: [IdempotencyKeys.make(keys)] })
})

export const layer = (of: SimulatedProvider.SimulatedProvider, plan?: FaultPlan.FaultPlan) =>
  Client.layer(Bulk, provider, { credential: Redacted.make("key-of-a-test"), policy: { attempts: 2 } }).pipe(
    Layer.provide(SimulatedNetwork.layer([of], { plan }))
  )

const outcomes = Batch.multiStatus({
  entries: (body: ReadonlyArray<typeof Told.Type>) => body,
  by: { item: ({ id }: Order) => id, entry: ({ id }) => id },
  status: ({ status }) => status,
  value: ({ id }) => id
})

const common = { outcomes, limits: { items: 2 }, concurrency: 2, rounds: 3 }

/** A batch of orders. `careless` says of one without a key that it may be sent twice, which is wrong. */
export const batchOf = (way: Way, careless = false) =>
  Effect.map(Bulk, ({ orders }) => {
    const name = `orders.${way}`
    if (way === "keyed") {
      return Batch.make({
        ...common,
        name,
        key: { per: "chunk", of: ({ id }: Order) => id },
        send: (items, key) => orders.keyed({ payload: { orders: items } }).pipe(Idempotency.withKey(key))
      })
    }
    return Batch.make({
      ...common,
      name,
      key: way === "upsert" || careless ? { per: "item" } : undefined,
      send: (items: ReadonlyArray<Order>) => orders[way]({ payload: { orders: items } })
    })
  })
