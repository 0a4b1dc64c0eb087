/** The memory model is held against reality where answers have no body: our client sends an e-mail under each fault, in memory and on a port. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Redacted, References } from "effect"
import { FetchHttpClient, type HttpClient } from "effect/http"
import type { LayerOptions } from "@breakwater/core/Client"
import * as Undici from "@breakwater/core/node/Undici"
import { SendGrid } from "@breakwater/providers/sendgrid"
import { Fault, FaultPlan, Hint, SimulatedNetwork, SimulatedSendGrid } from "@breakwater/testkit"
import * as Serve from "@breakwater/testkit/node/Serve"

const policy = {
  attempts: 1,
  attemptTimeout: "3 seconds",
  silenceTimeout: "250 millis",
  connectTimeout: "100 millis"
} as const

const payload = {
  personalizations: [{ to: [{ email: "ada@customer.example" }] }],
  from: { email: "shop@shop.example" },
  subject: "Hello",
  content: [{ type: "text/plain", value: "Hello." }],
  custom_args: { order: "7" }
} as const

/** What a send came to: its error's class and reason, or its value. */
const outcomeOf = (
  simulated: SimulatedSendGrid.SimulatedSendGrid,
  transport: Layer.Layer<HttpClient.HttpClient>,
  options?: Pick<LayerOptions, "baseUrl" | "environment">
) =>
  Effect.gen(function* () {
    const credential = Redacted.make(SimulatedSendGrid.defaultApiKey)
    const live = SendGrid.layer({ credential, environment: "production", policy, ...options })
    const { mail } = Context.get(yield* Layer.build(Layer.provide(live, transport)), SendGrid)
    const outcome = yield* mail.send({ payload }).pipe(
      Effect.match({
        onSuccess: ({ _tag }) => _tag,
        onFailure: ({ _tag, reason }) => `${_tag} ${reason._tag}`
      })
    )
    const done = simulated.ledger.entries.map(({ kind, metadata }) => [kind, metadata])
    const exchanges = simulated.ledger.exchanges.map(({ at: _, ...exchange }) => exchange)
    return { outcome, done, exchanges }
  })

const transports = { fetch: FetchHttpClient.layer, undici: Undici.layer() }

/** Without the faults of a connection: on a port, a single request has its connection when it can be struck. */
const cases: ReadonlyArray<readonly [fault: Fault.Fault, outcome: string]> = [
  [Fault.none, "Accepted"],
  [Fault.latency("50 millis"), "Accepted"],
  [Fault.resetBefore, "OutcomeUnknown TransportFailed"],
  [Fault.lostResponse, "OutcomeUnknown TransportFailed"],
  [Fault.blackhole({ processed: true }), "OutcomeUnknown Timeout"],
  [Fault.trickle({ pieces: 4, every: "20 millis" }), "Accepted"],
  [Fault.contentType(), "Accepted"],
  [Fault.garbage, "Accepted"],
  [Fault.html(), "OutcomeUnknown ResponseInvalid"],
  [Fault.html(202), "OutcomeUnknown ResponseInvalid"],
  [Fault.html(502), "OutcomeUnknown Unavailable"],
  [Fault.emptyBody, "Accepted"],
  [Fault.hugeBody(), "OutcomeUnknown ResponseInvalid"],
  [Fault.status(400), "FatalError InvalidRequest"],
  [Fault.status(413), "FatalError InvalidRequest"],
  [Fault.status(500, { processed: true }), "OutcomeUnknown Unavailable"],
  [Fault.rateLimited(Hint.xRateLimit({ resetSeconds: 2 })), "RetryableError RateLimited"],
  [Fault.crash({ processed: true }), "OutcomeUnknown Unavailable"]
]

/** Nobody reads the log lines of these calls. */
const silently = Effect.provideService(References.CurrentLoggers, new Set())

describe("in memory and on a port", () => {
  for (const [fault, outcome] of cases) {
    it.live(`a send under ${fault.name} comes to ${outcome}, and to the same ledger (TEST-2)`, () =>
      Effect.gen(function* () {
        const simulated = yield* SimulatedSendGrid.make()
        const plan = FaultPlan.always(fault)
        const memory = yield* outcomeOf(simulated, SimulatedNetwork.layer([simulated], { plan }))
        assert.strictEqual(memory.outcome, outcome)
        for (const [name, transport] of Object.entries(transports)) {
          const served = yield* SimulatedSendGrid.make()
          const { url } = yield* Serve.make(served, { plan })
          assert.deepStrictEqual(yield* outcomeOf(served, transport, { baseUrl: url }), memory, name)
        }
      }).pipe(silently)
    )
  }

  for (const [name, transport] of Object.entries(transports)) {
    it.live(`a send in the sandbox is validated over ${name}`, () =>
      Effect.gen(function* () {
        const served = yield* SimulatedSendGrid.make()
        const { url } = yield* Serve.make(served)
        const { done, outcome } = yield* outcomeOf(served, transport, { baseUrl: url, environment: "sandbox" })

        assert.deepStrictEqual([outcome, done], ["Validated", []])
      }).pipe(silently)
    )
  }
})
