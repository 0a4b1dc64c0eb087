/** One run of the sale: customers arrive over ten seconds on loopback HTTP, whatever happens; then the shop has a while to settle what waits. */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { Clock, Effect, Fiber, Layer } from "effect"
import { HttpClient, HttpClientRequest, HttpRouter, HttpServer } from "effect/http"
import { createServer } from "node:http"
import type { Order } from "./Payments.ts"
import type { Shop } from "./Shop.ts"
import * as Shops from "./Shop.ts"

export interface Progress {
  readonly arrived: number
  readonly answered: number
  readonly waiting: number
}

/** How long the shop may take after the last order. */
const patience = "8 seconds"

const listen = Effect.fnUntraced(function* (shop: Shop) {
  const server = NodeHttpServer.layer(createServer, { port: 0, host: "127.0.0.1" })
  const context = yield* Layer.build(
    HttpRouter.serve(shop.routes, { disableLogger: true, disableListenLog: true }).pipe(Layer.provideMerge(server))
  )
  const { address } = yield* Effect.provide(HttpServer.HttpServer, context)
  return HttpServer.formatAddress(address)
})

/** Runs the sale; gives the shop's memory and how long each customer waited. */
export const run = Effect.fnUntraced(function* (
  orders: ReadonlyArray<Order>,
  seconds: number,
  report: (progress: Progress) => void
) {
  const shop = yield* Shops.make
  const url = yield* listen(shop)
  const http = yield* HttpClient.HttpClient
  const latenciesMillis: Array<number> = []
  let arrived = 0

  const customer = Effect.fnUntraced(function* (order: Order, index: number) {
    yield* Effect.sleep((index * seconds * 1000) / orders.length)
    arrived++
    const before = yield* Clock.currentTimeMillis
    yield* http
      .execute(HttpClientRequest.post(`${url}/orders`).pipe(HttpClientRequest.bodyJsonUnsafe(order)))
      .pipe(Effect.flatMap((response) => response.json))
    latenciesMillis.push((yield* Clock.currentTimeMillis) - before)
  })

  const tick = Effect.gen(function* () {
    report({ arrived, answered: latenciesMillis.length, waiting: yield* shop.waiting })
    yield* Effect.sleep("200 millis")
  })
  const reporting = yield* Effect.forkChild(Effect.forever(tick))
  const workers = yield* Effect.forkChild(
    Effect.all(
      Array.from({ length: 16 }, () => shop.workers),
      { concurrency: "unbounded" }
    )
  )
  yield* Effect.all(orders.map(customer), { concurrency: "unbounded" })
  const settled = Effect.suspend(() => Effect.succeed([...shop.told.values()].every((word) => word !== "later")))
  yield* Effect.timeoutOption(Effect.repeat(Effect.delay(settled, "20 millis"), { until: (done) => done }), patience)
  yield* Fiber.interrupt(workers)
  yield* Fiber.interrupt(reporting)
  return { told: shop.told, deferredOnTheWay: shop.deferred(), latenciesMillis }
}, Effect.scoped)
