/**
 * Three orders, charged at once through the real client of Stripe and its simulation. What cannot be charged now is deferred and tried again until it is settled, as the shop of
 * examples/checkout does; and as a shop must that outlives its keys, one that is in doubt looks for the payment before it takes a new key.
 */
import { Clock, Duration, Effect, Layer, Redacted } from "effect"
import * as Idempotency from "@breakwater/core/Idempotency"
import { Stripe } from "@breakwater/providers/stripe"
import { Fault, FaultMenu, Hint, SimulatedNetwork, SimulatedStripe, Simulation } from "@breakwater/testkit"
import type { FaultPlan, SimulatedProvider } from "@breakwater/testkit"

/** What may go wrong with an exchange. That a key expires between two attempts is the shop's being away for longer than Stripe keeps keys. */
export const faults = [
  Fault.latency("12 seconds"),
  Fault.refused,
  Fault.connectBlackhole(),
  Fault.resetBefore,
  Fault.lostResponse,
  Fault.blackhole(),
  Fault.blackhole({ processed: true }),
  Fault.silence,
  Fault.truncated(),
  Fault.garbage,
  Fault.html(),
  Fault.html(502),
  Fault.emptyBody,
  Fault.status(503),
  Fault.status(503, { hint: Hint.aDay }),
  Fault.status(500, { processed: true }),
  Fault.rateLimited(),
  Fault.rateLimited(Hint.seconds(2)),
  Fault.crash(),
  Fault.crash({ processed: true })
]

type Told = "paid" | "refused"

interface World {
  readonly stripe: SimulatedProvider.SimulatedProvider
  readonly told: Map<string, Told>
}

/** How an order is to go on: so much later, and with its key, or after a look. */
interface Postponed {
  readonly _tag: "Postponed"
  readonly afterMillis: number
  /** Instant until which the key says what became of the charge. */
  readonly keyUntil: number
  readonly inDoubt: boolean
}

/** Stripe forgets a key after 24 hours; an hour is for clocks that differ. */
const keyMillis = Duration.toMillis("23 hours")

/** When an order is tried again for which Stripe did not say. */
const soon = Duration.millis(250)

const charge = Effect.fnUntraced(function* (order: string, key: string) {
  const { paymentIntents } = yield* Stripe
  const now = yield* Clock.currentTimeMillis
  const payload = { amount: 4200, currency: "eur", confirm: true, payment_method: "pm_card_visa", metadata: { order } }
  const postponed = (afterMillis: number, keyUntil: number, inDoubt: boolean): Postponed => ({
    _tag: "Postponed",
    afterMillis,
    keyUntil,
    inDoubt
  })
  return yield* paymentIntents.create({ payload }).pipe(
    Idempotency.withKey(key),
    Effect.as<Told | Postponed>("paid"),
    Effect.catchTags({
      CardError: () => Effect.succeed<Told>("refused"),
      FatalError: () => Effect.succeed<Told>("refused"),
      RetryableError: ({ retryAfter = soon, sent }) =>
        Effect.succeed(
          postponed(Duration.toMillis(retryAfter), sent === "unknown" ? now + keyMillis : Infinity, false)
        ),
      // Asking again with the key would give the stored answer again.
      OutcomeUnknown: () => Effect.succeed(postponed(Duration.toMillis(soon), now + keyMillis, true))
    })
  )
})

/** Whether the order was paid, if Stripe can say so now. */
const isPaid = Effect.fnUntraced(function* (order: string) {
  const { paymentIntents } = yield* Stripe
  const { data } = yield* paymentIntents.list({ query: { limit: 100 } })
  return data.some(({ metadata, status }) => metadata?.["order"] === order && status === "succeeded")
})

interface Options {
  /** When the shop looks for a payment, before it takes a new key, rather than ask again with the key it has. */
  readonly looks: "in doubt, and when the key expires" | "in doubt" | "never"
}

const mustLook = ({ looks }: Options, inDoubt: boolean, isExpired: boolean): boolean =>
  (looks !== "never" && inDoubt) || (looks === "in doubt, and when the key expires" && isExpired)

/** Charges an order until it is settled. */
const settle = Effect.fnUntraced(function* (order: string, options: Options) {
  let keys = 1
  let keyUntil = Infinity
  let inDoubt = false
  for (;;) {
    if (mustLook(options, inDoubt, (yield* Clock.currentTimeMillis) >= keyUntil)) {
      yield* Simulation.sometimes("an order in doubt is looked for")
      const paid = yield* Effect.option(isPaid(order))
      if (paid._tag === "Some" && paid.value) return "paid"
      if (paid._tag === "Some") [keys, keyUntil, inDoubt] = [keys + 1, Infinity, false]
    } else {
      const outcome = yield* charge(order, `order/${order}/charge/${keys}`)
      if (typeof outcome === "string") return outcome
      keyUntil = Math.min(keyUntil, outcome.keyUntil)
      inDoubt ||= outcome.inDoubt
      yield* Effect.sleep(outcome.afterMillis)
    }
    const away = yield* Simulation.choose(`shop with ${order}`, ["open", "closed for 25 hours"])
    yield* Effect.sleep(away === "open" ? "250 millis" : "25 hours")
  }
})

const orders = ["o1", "o2", "o3"]

const wrong = ({ stripe, told }: World): string | undefined => {
  for (const order of orders) {
    const charges = stripe.ledger.byMetadata("order", order).length
    if (charges > 1) return `order ${order} was charged ${charges} times`
    if (charges === 1 && told.get(order) !== "paid")
      return `order ${order} was charged, and told ${told.get(order) ?? "nothing"}`
    if (charges === 0 && told.get(order) === "paid") return `order ${order} was told that it is paid, and is not`
    if (charges === 0) return `order ${order} was not charged, and told ${told.get(order) ?? "nothing"}`
  }
  return undefined
}

const world = Effect.map(SimulatedStripe.make({ keyWindow: "24 hours" }), (stripe): World => ({
  stripe,
  told: new Map()
}))

/** The checkout under a menu of faults. Default `faults`. */
export const checkout = (options: Options & { readonly plan?: FaultPlan.FaultPlan }) => {
  const plan = options.plan ?? FaultMenu.make(faults)
  return Simulation.make({
    name: "checkout",
    world,
    program: ({ stripe, told }: World) => {
      const network = SimulatedNetwork.layer([stripe], { plan })
      const client = Stripe.layer({ credential: Redacted.make(SimulatedStripe.defaultApiKey) }).pipe(
        Layer.provide(network)
      )
      const sell = (order: string) => Effect.map(settle(order, options), (word) => told.set(order, word))
      return Effect.provide(Effect.all(orders.map(sell), { concurrency: "unbounded", discard: true }), client)
    },
    invariant: ({ world }) => wrong(world),
    sometimes: { "an order in doubt is looked for": Simulation.marked },
    timeline: ({ stripe }) => ({
      ledger: stripe.ledger.entries.map(({ at, key, kind }) => ({ at, text: `${kind} ${key ?? ""}` }))
    })
  })
}
