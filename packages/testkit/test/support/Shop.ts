/** A shop that charges an order in a process of its own, and remembers that it did. */
import { Effect, Schedule } from "effect"
import { type HttpClient, HttpClientRequest } from "effect/http"
import { type FaultPlan, Process, SimulatedNetwork, SimulatedStripe, Simulation } from "@breakwater/testkit"

/** What the shop knows, which outlives its process. */
export interface Store {
  readonly isPaid: Effect.Effect<boolean>
  readonly markPaid: Effect.Effect<void>
}

/** A store in memory that stands for a durable one. */
export const memory = (): Store => {
  let paid = false
  return {
    isPaid: Effect.sync(() => paid),
    markPaid: Effect.sync(() => {
      paid = true
    })
  }
}

/** `keyed` and `keyless` charge before they remember it, `too early` remembers it before. */
export type Manner = "keyed" | "keyless" | "too early"

const request = (manner: Manner) =>
  HttpClientRequest.post("https://api.stripe.com/v1/payment_intents").pipe(
    HttpClientRequest.setHeader("authorization", `Bearer ${SimulatedStripe.defaultApiKey}`),
    HttpClientRequest.setHeaders(manner === "keyed" ? { "idempotency-key": "order/1" } : {}),
    HttpClientRequest.bodyUrlParams({
      amount: "4200",
      currency: "eur",
      confirm: "true",
      payment_method: "pm_card_visa"
    })
  )

/** The program of the process. */
export const pay = (manner: Manner, client: HttpClient.HttpClient, store: Store) =>
  Effect.gen(function* () {
    if (yield* store.isPaid) return
    const charge = Effect.flatMap(client.execute(request(manner)), ({ json }) => json)
    if (manner === "too early") {
      yield* store.markPaid
      yield* Process.point("marked")
      yield* charge
    } else {
      yield* charge
      yield* Process.point("charged")
      yield* store.markPaid
    }
  }).pipe(Effect.withSpan("pay"))

/** Stripe, a way to it, and a store. */
export const world = Effect.fnUntraced(function* (plan?: FaultPlan.FaultPlan) {
  const stripe = yield* SimulatedStripe.make({ latency: "80 millis" })
  const client = yield* SimulatedNetwork.client([stripe], { plan })
  return { stripe, client, store: memory() }
})

type World = Effect.Success<ReturnType<typeof world>>

export const charges = ({ stripe }: Pick<World, "stripe">): number => stripe.ledger.ofKind("charge.succeeded").length

export const chargedOnce = (world: Pick<World, "stripe">): string | undefined =>
  charges(world) === 1 ? undefined : `charged ${charges(world)} times`

export const checkout = (manner: Manner, plan?: FaultPlan.FaultPlan) =>
  Simulation.make({
    name: `checkout, ${manner}`,
    world: Effect.suspend(() => world(plan)),
    program: Effect.fnUntraced(function* ({ client, store }) {
      const paying = Effect.retry(pay(manner, client, store), { times: 2, schedule: Schedule.spaced("1 second") })
      const process = yield* Process.start("checkout", paying)
      yield* process.join
      return yield* process.kills
    }),
    invariant: ({ world }) => chargedOnce(world),
    timeline: ({ stripe }) => ({ ledger: stripe.ledger.entries.map(({ at, kind }) => ({ at, text: kind })) })
  })
