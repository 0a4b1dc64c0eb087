import { assert, describe, it } from "@effect/vitest"
import { Idempotency } from "@breakwater/core"
import { Stripe } from "@breakwater/providers/stripe"
import type { FaultPlan } from "@breakwater/testkit"
import { Fault, FaultMenu, Mode, SimulatedNetwork, SimulatedStripe, Simulation } from "@breakwater/testkit"
import { Effect, Layer, Redacted } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"

const faults = [
  Fault.refused,
  Fault.resetBefore,
  Fault.lostResponse,
  Fault.blackhole({ processed: true }),
  Fault.truncated(),
  Fault.html(502),
  Fault.crash({ processed: true })
]

const world = Effect.suspend(() => SimulatedStripe.make())

const timeline = ({ ledger }: Effect.Success<typeof world>) => ({
  ledger: ledger.entries.map(({ at, kind }) => ({ at, text: kind })),
  client: ledger.exchanges.map(({ at, fault, status }) => ({ at, text: `status ${status}, ${fault}` }))
})

const once = ({ ledger }: Effect.Success<typeof world>): string | undefined => {
  const charges = ledger.ofKind("charge.succeeded").length
  return charges > 1 ? `charged ${charges} times` : undefined
}

const payload = { amount: 4200, currency: "eur", confirm: true, payment_method: "pm_card_visa" }

/** A charge by Breakwater's own client. */
const breakwater = Simulation.make({
  name: "breakwater",
  world,
  program: (simulated) => {
    const network = SimulatedNetwork.layer([simulated], { plan: FaultMenu.make(faults) })
    const client = Stripe.layer({ credential: Redacted.make(SimulatedStripe.defaultApiKey) })
    const charge = Effect.flatMap(Stripe, ({ paymentIntents }) =>
      paymentIntents.create({ payload }).pipe(Idempotency.withKey("order/1/charge"))
    )
    return Effect.provide(charge, Layer.provide(client, network))
  },
  invariant: ({ world }) => once(world),
  timeline
})

/** A charge that is sent again without a key. */
const naive = Simulation.make({
  name: "naive",
  world,
  program: (simulated) =>
    Effect.gen(function* () {
      const client = yield* HttpClient.HttpClient
      const request = HttpClientRequest.post("https://api.stripe.com/v1/payment_intents").pipe(
        HttpClientRequest.setHeader("authorization", `Bearer ${SimulatedStripe.defaultApiKey}`),
        HttpClientRequest.bodyUrlParams({ ...payload, amount: "4200", confirm: "true" })
      )
      const send = Effect.flatMap(client.execute(request), ({ json }) => json)
      yield* Effect.retry(Effect.timeout(send, "5 seconds"), { times: 2 })
    }).pipe(Effect.provide(SimulatedNetwork.layer([simulated], { plan: FaultMenu.make(() => faults) }))),
  invariant: ({ world }) => once(world),
  timeline
})

describe("FaultMenu.make", () => {
  it("lets a search find the lost answer of a charge without a key, and name the exchange", () => {
    const { failures } = Simulation.check(naive, Mode.exhaustive({ deviations: 1 }))

    assert.deepStrictEqual(
      failures.map(({ message, plan }) => [message, plan?.decisions]),
      [["charged 2 times", [{ key: "stripe POST /v1/payment_intents#0", choice: "lost response" }]]]
    )
    assert.include(failures[0]?.text, "1. 1st stripe POST /v1/payment_intents: lost response")
  })

  it("finds nothing where every attempt carries its key", () => {
    const outcome = Simulation.check(breakwater, Mode.exhaustive({ deviations: 1 }))

    assert.deepStrictEqual([outcome.failures.map(({ text }) => text), outcome.exhausted], [[], true])
    assert.isAtLeast(outcome.plans, 1 + faults.length)
  })

  it("lets nothing go wrong outside a simulation", () => {
    const exchange = { provider: "wallet", label: "GET /" } as Parameters<FaultPlan.FaultPlan["next"]>[0]

    assert.strictEqual(FaultMenu.make(faults).next(exchange), Fault.none)
  })

  it("refuses two faults of one name", () => {
    assert.throws(() => FaultMenu.make([Fault.refused, Fault.refused]), RangeError, `two faults are called "refused"`)
  })
})
