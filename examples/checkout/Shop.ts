/**
 * The shop: takes orders over HTTP, charges them through whatever `Payments` it is given, and keeps those that must wait, with their key, until the provider is
 * back (DEGR-2).
 */
import { Clock, Effect, Queue, Schema } from "effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { type Order, Payments } from "./Payments.ts"
import type { Told } from "./Verdict.ts"

const OrderBody = Schema.Struct({
  id: Schema.String,
  amountCents: Schema.Int,
  card: Schema.Literals(["good", "declined"])
})

/** Orders that wait; more are refused, so that a long outage does not fill the memory. */
const maxWaiting = 10_000

export const make = Effect.gen(function* () {
  const payments = yield* Payments
  const told = new Map<string, Told>()
  const waiting = yield* Queue.bounded<Order & { readonly at: number }>(maxWaiting)
  let deferred = 0

  const settle = (order: Order): Effect.Effect<Told> =>
    payments.charge(order).pipe(
      Effect.as<Told>("paid"),
      Effect.catchTags({
        Refused: () => Effect.succeed<Told>("refused"),
        Postponed: ({ retryAfterMillis }) =>
          Effect.flatMap(Clock.currentTimeMillis, (now) =>
            Effect.as(Queue.offer(waiting, { ...order, at: now + retryAfterMillis }), "later" as const)
          )
      }),
      Effect.tap((word) => Effect.sync(() => told.set(order.id, word)))
    )

  /** Takes the oldest waiting order when its time has come; what is postponed again goes to the end. */
  const retryOne = Effect.gen(function* () {
    const order = yield* Queue.take(waiting)
    yield* Effect.sleep(Math.max(0, order.at - (yield* Clock.currentTimeMillis)))
    yield* settle(order)
  })

  const routes = HttpRouter.add(
    "POST",
    "/orders",
    Effect.gen(function* () {
      const order = yield* HttpServerRequest.schemaBodyJson(OrderBody)
      const word = yield* settle(order)
      if (word === "later") deferred++
      return HttpServerResponse.jsonUnsafe({ order: order.id, payment: word }, { status: word === "later" ? 202 : 200 })
    })
  )
  const workers = Effect.forever(retryOne)
  return { routes, workers, told, deferred: () => deferred, waiting: Queue.size(waiting) }
})

export type Shop = Effect.Success<typeof make>
