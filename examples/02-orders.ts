/**
 * An order client that makes no duplicates (SYS-1, IDEM-3): POST with a key, and a 409 gives the order that is there already.
 * Teaches a provider declared in place. Run it: `node examples/02-orders.ts`; its server loses the first answer.
 */
import { Auth, Client, Idempotency, Provider, Safety } from "@breakwater/core"
import * as Undici from "@breakwater/core/node/Undici"
import { Context, Effect, Layer, Redacted, Schema } from "effect"
import { HttpApi, HttpApiEndpoint, HttpApiGroup } from "effect/http-api"
import { once } from "node:events"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { json } from "node:stream/consumers"

const Order = Schema.Struct({ id: Schema.String, item: Schema.String })
const status = { httpApiStatus: 409 }
class OrderExists extends Schema.TaggedError<OrderExists>()("OrderExists", { id: Schema.String }, status) {}

const api = HttpApi.make("orders").add(
  HttpApiGroup.make("orders").add(
    HttpApiEndpoint.get("get", "/orders/:id", { params: { id: Schema.String }, success: Order }),
    HttpApiEndpoint.post("create", "/orders", { payload: Order, success: Order, error: OrderExists }).pipe(
      Safety.keyed({ header: "Idempotency-Key", window: "24 hours" })
    )
  )
)
const production = "https://orders.example"
const provider = Provider.make("orders", {
  api,
  environments: { sandbox: production, production },
  auth: Auth.bearer()
})
class Orders extends Context.Service<Orders, Client.Of<typeof provider>>()("examples/Orders") {}

const place = Effect.fnUntraced(function* (order: typeof Order.Type) {
  const { orders } = yield* Orders
  return yield* orders.create({ payload: order }).pipe(
    Idempotency.withKey(`order/${order.id}`),
    Effect.catchTag("OrderExists", ({ id }) => orders.get({ params: { id } }))
  )
})

const stored = new Map<string, string>()
const server = createServer(async (request, response) => {
  const answer = (status: number, body = "") =>
    response.writeHead(status, { "content-type": "application/json" }).end(body)
  if (request.method === "GET") return answer(200, stored.get(request.url?.slice("/orders/".length) ?? ""))
  const order = (await json(request)) as typeof Order.Type
  if (stored.has(order.id)) return answer(409, JSON.stringify({ _tag: "OrderExists", id: order.id }))
  stored.set(order.id, JSON.stringify(order))
  return request.socket.destroy() // stored, and the answer is lost
})
await once(server.listen(0, "127.0.0.1"), "listening")
const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`

const credential = Redacted.make("key-123")
const OrdersLive = Layer.provide(Client.layer(Orders, provider, { credential, baseUrl }), Undici.layer())
const order = await Effect.runPromise(place({ id: "8731", item: "a pier" }).pipe(Effect.provide(OrdersLive)))
process.stdout.write(`${JSON.stringify(order)}; orders stored: ${stored.size}\n`)
server.close()
