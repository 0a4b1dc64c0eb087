/**
 * How fast simulations are, in seconds of CPU time, which on one core are seconds: virtual sleeps, and runs of a Stripe client with three charges under random faults.
 */
import { Idempotency } from "@breakwater/core"
import { Stripe } from "@breakwater/providers/stripe"
import { Fault, FaultMenu, Mode, SimulatedNetwork, SimulatedStripe, Simulation } from "@breakwater/testkit"
import { Effect, Layer, Redacted } from "effect"

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

/** Every kind but the huge body, which is a measure of memory. */
const faults = [
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
  Fault.status(503),
  Fault.status(500, { processed: true }),
  Fault.rateLimited(),
  Fault.crash(),
  Fault.crash({ processed: true }),
  Fault.emptyBody
]
const orders = ["a", "b", "c"]

const charges = Simulation.make({
  name: "three charges",
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
const simulations = perSecond(() => Simulation.verify(charges, Mode.random({ runs: 300, seed: seed++ })).runs)

const shown = (rate: number): string => Math.round(rate).toLocaleString("en")
process.stdout.write(`simulation: ${shown(sleeps)} virtual sleeps a second\n`)
process.stdout.write(
  `simulation: ${shown(simulations)} HTTP simulations a second, each with a new Stripe, a new client and three charges\n`
)
