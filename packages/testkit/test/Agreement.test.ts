/** The memory model is held against reality: our client meets each fault in memory, and on a port over both transports. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Redacted, References } from "effect"
import { FetchHttpClient, type HttpClient } from "effect/http"
import * as Idempotency from "@breakwater/core/Idempotency"
import * as Undici from "@breakwater/core/node/Undici"
import { isProviderError } from "@breakwater/core/ProviderError"
import { Stripe } from "@breakwater/providers/stripe"
import { Fault, FaultPlan, Hint, Latency, SimulatedNetwork, SimulatedStripe } from "@breakwater/testkit"
import type { SimulatedProvider } from "@breakwater/testkit/SimulatedProvider"
import * as Serve from "@breakwater/testkit/node/Serve"

const policy = {
  attempts: 1,
  attemptTimeout: "3 seconds",
  silenceTimeout: "250 millis",
  connectTimeout: "100 millis"
} as const

const payload = {
  amount: 4200,
  currency: "eur",
  confirm: true,
  payment_method: "pm_card_visa",
  metadata: { order: "7" }
}

/** What a call came to: its error's class and reason, or its value. */
const outcomeOf = (simulated: SimulatedProvider, transport: Layer.Layer<HttpClient.HttpClient>, baseUrl?: string) =>
  Effect.gen(function* () {
    const live = Stripe.layer({ credential: Redacted.make(SimulatedStripe.defaultApiKey), policy, baseUrl })
    const stripe = Context.get(yield* Layer.build(Layer.provide(live, transport)), Stripe)
    const outcome = yield* stripe.paymentIntents.create({ payload }).pipe(
      Idempotency.withKey("order/7"),
      Effect.match({
        onSuccess: ({ status }): unknown => status,
        onFailure: (error) =>
          isProviderError(error)
            ? { error: error._tag, reason: error.reason._tag, message: error.reason.message }
            : { error: error._tag }
      })
    )
    const done = simulated.ledger.entries.map(({ amount, key, kind, operation }) => ({ amount, key, kind, operation }))
    const exchanges = simulated.ledger.exchanges.map(({ at: _, ...exchange }) => exchange)
    return { outcome, done, exchanges }
  })

const inMemory = Effect.fnUntraced(function* (fault: Fault.Fault) {
  const simulated = yield* SimulatedStripe.make()
  return yield* outcomeOf(simulated, SimulatedNetwork.layer([simulated], { plan: FaultPlan.always(fault) }))
})

const onPort = Effect.fnUntraced(function* (fault: Fault.Fault, transport: Layer.Layer<HttpClient.HttpClient>) {
  const simulated = yield* SimulatedStripe.make()
  const { url } = yield* Serve.make(simulated, { plan: FaultPlan.always(fault) })
  return yield* outcomeOf(simulated, transport, url)
})

const transports = { fetch: FetchHttpClient.layer, undici: Undici.layer() }

/** Each fault, the reason that both must give, and where the messages may differ: the codes of undici and of the system. */
const cases: ReadonlyArray<readonly [fault: Fault.Fault, reason: string, message?: "differs"]> = [
  [Fault.none, "succeeded"],
  [Fault.latency("50 millis"), "succeeded"],
  [Fault.latencyOf(Latency.normal({ mean: "50 millis", deviation: "5 millis" })), "succeeded"],
  // A single request cannot be refused on a port: it has its connection.
  [Fault.refused, "TransportFailed", "differs"],
  [Fault.dns(), "TransportFailed", "differs"],
  [Fault.tls(), "TransportFailed", "differs"],
  [Fault.connectBlackhole("100 millis"), "Timeout", "differs"],
  [Fault.resetBefore, "TransportFailed"],
  [Fault.lostResponse, "TransportFailed"],
  [Fault.blackhole(), "Timeout"],
  [Fault.blackhole({ processed: true }), "Timeout"],
  [Fault.silence, "Timeout"],
  [Fault.truncated(0), "TransportFailed", "differs"],
  [Fault.truncated(0.5), "TransportFailed", "differs"],
  [Fault.trickle({ pieces: 4, every: "20 millis" }), "succeeded"],
  [Fault.contentType(), "succeeded"],
  [Fault.hugeHeaders(), "TransportFailed", "differs"],
  [Fault.status(408), "Unavailable"],
  [Fault.drift("missing optional", ["metadata"]), "succeeded"],
  [Fault.drift("extra field", []), "succeeded"],
  [Fault.drift("null", ["amount"]), "ResponseInvalid"],
  [Fault.drift("string for number", ["amount"]), "ResponseInvalid"],
  [Fault.drift("widened enum", ["object"]), "ResponseInvalid"],
  [Fault.garbage, "Unavailable"],
  [Fault.html(), "Unavailable"],
  [Fault.html(502), "Unavailable"],
  [Fault.emptyBody, "Unavailable"],
  [Fault.hugeBody(), "ResponseInvalid"],
  [Fault.hugeBody({ announced: false }), "ResponseInvalid"],
  [Fault.status(503), "Unavailable"],
  [Fault.status(500, { processed: true }), "Unavailable"],
  [Fault.status(503, { hint: Hint.milliseconds(1500) }), "Unavailable"],
  [Fault.rateLimited(), "RateLimited"],
  [Fault.rateLimited(Hint.seconds(2)), "RateLimited"],
  [Fault.rateLimited(Hint.unreadable()), "RateLimited"],
  [Fault.rateLimited(Hint.aDay), "RateLimited"],
  [Fault.rateLimited(Hint.xRateLimit({ resetSeconds: 2 })), "RateLimited"],
  [Fault.rateLimited(Hint.rateLimit({ resetSeconds: 2 })), "RateLimited"],
  [Fault.clockSkew({ ahead: "5 minutes" }), "succeeded"],
  [Fault.clockSkew({ behind: "5 minutes" }, Fault.rateLimited(Hint.httpDate(2))), "RateLimited", "differs"],
  [Fault.crash(), "Unavailable"],
  [Fault.crash({ processed: true }), "Unavailable"]
]

const reasonOf = ({ outcome }: { readonly outcome: unknown }) =>
  typeof outcome === "string" ? outcome : (outcome as { readonly reason?: string }).reason

/** Nobody reads the log lines of these calls. */
const silently = Effect.provideService(References.CurrentLoggers, new Set())

describe("in memory and on a port", () => {
  for (const [fault, reason, message] of cases) {
    it.live(
      `${fault.name} comes to ${reason}, and to the same ledger (TEST-2)`,
      () =>
        Effect.gen(function* () {
          const memory = yield* inMemory(fault)
          assert.strictEqual(reasonOf(memory), reason)
          assert.strictEqual(memory.done.length, fault.processed ? 1 : 0)
          for (const [name, transport] of Object.entries(transports)) {
            const port = yield* onPort(fault, transport)
            assert.strictEqual(reasonOf(port), reason, name)
            if (message === undefined) assert.deepStrictEqual(port.outcome, memory.outcome, name)
            assert.deepStrictEqual(port.done, memory.done, name)
            assert.deepStrictEqual(port.exchanges, memory.exchanges, name)
          }
        }).pipe(silently),
      20_000
    )
  }
})
