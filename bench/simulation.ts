/**
 * How fast simulations are, in seconds of CPU time, which on one core are seconds: virtual sleeps, and runs of three charges under random faults, by a plain client of a
 * plain provider and by Breakwater's client of the simulated Stripe, both of which are made anew from their declaration for each run.
 */
import { Idempotency } from "@breakwater/core"
import { Stripe } from "@breakwater/providers/stripe"
import type { SimulatedProvider } from "@breakwater/testkit"
import { Exchange, FaultMenu, Ledger, Mode, SimulatedNetwork, SimulatedStripe, Simulation } from "@breakwater/testkit"
import { Effect, Layer, Redacted } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"
import { faults } from "../packages/testkit/test/support/Checkout.ts"

const rounds = 5

const median = (values: ReadonlyArray<number>): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0

/** Median over rounds of how many there are in a second, after one round to warm up. */
const perSecond = (round: () => number): number => {
  const rates = Array.from({ length: rounds + 1 }, () => {
    const before = process.cpuUsage()
    const count = round()
    const { system, user } = process.cpuUsage(before)
    return count / ((system + user) / 1e6)
  })
  return median(rates.slice(1))
}

const sleeper = Effect.gen(function* () {
  for (let sleep = 0; sleep < 5000; sleep++) yield* Effect.sleep(1)
})
const sleepers = Effect.all(
  Array.from({ length: 100 }, () => sleeper),
  { concurrency: "unbounded", discard: true }
)

const orders = ["a", "b", "c"]

/** A provider that takes charges, once for each key. */
const plainProvider = (): SimulatedProvider.SimulatedProvider => {
  const ledger = new Ledger()
  const charge = (key: string) => {
    if (ledger.byKey(key).length > 0) return
    const entry = {
      at: 0,
      operation: "charge",
      kind: "charge",
      key,
      amount: 4200,
      currency: "eur",
      ids: {},
      metadata: {}
    }
    ledger.record(entry)
  }
  const keyOf = ({ headers }: Exchange.Received) => headers["idempotency-key"] ?? ""
  return {
    name: "plain",
    origins: ["https://plain.test"],
    ledger,
    identify: (request) => ({ operation: "charge", key: keyOf(request) }),
    edge: (status) => Exchange.json(status, {}),
    handle: (request) =>
      Effect.sync(() => {
        charge(keyOf(request))
        return { ...Exchange.json(200, { charged: true }), executed: true }
      })
  }
}

const plain = Simulation.make({
  name: "three charges by a plain client",
  world: Effect.sync(plainProvider),
  program: (simulated) => {
    const charge = Effect.fnUntraced(function* (order: string) {
      const client = yield* HttpClient.HttpClient
      const request = HttpClientRequest.post("https://plain.test/charges").pipe(
        HttpClientRequest.bodyJsonUnsafe({ amount: 4200 }),
        HttpClientRequest.setHeader("idempotency-key", order)
      )
      const send = Effect.gen(function* () {
        const response = yield* client.execute(request)
        return response.status === 200 ? yield* response.json : yield* Effect.fail(response.status)
      })
      yield* Effect.exit(Effect.retry(Effect.timeout(send, "5 seconds"), { times: 3 }))
    })
    const network = SimulatedNetwork.layer([simulated], { plan: FaultMenu.make(faults) })
    return Effect.provide(Effect.forEach(orders, charge), network)
  },
  invariant: ({ world }) => orders.find((order) => world.ledger.byKey(order).length > 1)
})

const stripe = Simulation.make({
  name: "three charges by Breakwater",
  world: Effect.suspend(() => SimulatedStripe.make()),
  program: (simulated) => {
    const network = SimulatedNetwork.layer([simulated], { plan: FaultMenu.make(faults) })
    const client = Stripe.layer({ credential: Redacted.make(SimulatedStripe.defaultApiKey) }).pipe(
      Layer.provide(network)
    )
    const charge = Effect.fnUntraced(function* (order: string) {
      const { paymentIntents } = yield* Stripe
      const payload = {
        amount: 4200,
        currency: "eur",
        confirm: true,
        payment_method: "pm_card_visa",
        metadata: { order }
      }
      yield* Effect.exit(paymentIntents.create({ payload }).pipe(Idempotency.withKey(`order/${order}/charge`)))
    })
    return Effect.provide(Effect.forEach(orders, charge), client)
  },
  invariant: ({ world }) => {
    const twice = orders.find((order) => world.ledger.byMetadata("order", order).length > 1)
    return twice === undefined ? undefined : `order ${twice} was charged twice`
  }
})

const sleeps = perSecond(() => Simulation.run(sleepers).timers)
let seed = 0
const byPlain = perSecond(() => Simulation.verify(plain, Mode.random({ runs: 1000, seed: seed++ })).runs)
const byStripe = perSecond(() => Simulation.verify(stripe, Mode.random({ runs: 300, seed: seed++ })).runs)

const shown = (rate: number): string => Math.round(rate).toLocaleString("en")
process.stdout.write(`simulation: ${shown(sleeps)} virtual sleeps a second\n`)
process.stdout.write(
  `simulation: ${shown(byPlain)} HTTP simulations of three charges a second; ${shown(byStripe)} with Stripe and its client made anew from their declaration\n`
)
