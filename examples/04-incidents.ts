/**
 * What an operator sees when something burns: log lines and metrics of four incidents, on virtual time, always the same. docs/incident.md shows what it prints.
 * Run it: `node examples/04-incidents.ts circuit-open`, or `rate-limit`, `outcome-unknown`, `key-rotated`. No network.
 */
import { Call, Health, Idempotency, Telemetry } from "@breakwater/core"
import * as CredentialSource from "@breakwater/core/CredentialSource"
import { Stripe } from "@breakwater/providers/stripe"
import { Fault, FaultPlan, Hint, SimulatedNetwork, SimulatedStripe, Simulation } from "@breakwater/testkit"
import { type Duration, Effect, Layer, Logger, Redacted, References } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"
import { PrometheusMetrics } from "effect/observability"

const startedAt = Date.UTC(2026, 0, 1)
const print = (line: string) => void process.stdout.write(`${line}\n`)

/** The fields that matter here; a line has more (docs/telemetry.md). */
const shown = ["attempt", "http_status", "duration_ms", "error_code", "error_cause", "correlation_id"]

const logger = Logger.make<unknown, void>(({ date, fiber, logLevel, message }) => {
  if (logLevel === "Info") return
  const fields = fiber.getRef(References.CurrentLogAnnotations)
  const text = shown.flatMap((name) => (name in fields ? [`${name}=${String(fields[name])}`] : []))
  const seconds = ((date.getTime() - startedAt) / 1000).toFixed(2).padStart(5)
  print(`${seconds} s ${logLevel.toUpperCase()} ${String(message)}\n    ${text.join(" ")}`)
})

/** Labels that are the same in every line. */
const constant =
  /(?:breakwater_(?:provider|operation|environment)|http_request_method|url_template|server_\w+)="[^"]*",?/gu

/** What a scrape finds: counters, and the counts of attempts and waits. */
const scrape = Effect.map(PrometheusMetrics.format({ metricNameMapper: Telemetry.prometheusName }), (text) => {
  for (const line of text.split("\n"))
    if (/^(?:(?:http_client|breakwater_wait)\w*_count|\w*_total)\{/u.test(line))
      print(line.replaceAll(constant, "").replace(/,?\}/u, "}").replace("{}", ""))
})

const payload = { amount: 4200, currency: "eur", confirm: true, payment_method: "pm_card_visa" }

/** Charges an order; what the shop does with a failure is not shown. */
const charge = Effect.fnUntraced(function* (order: number) {
  const { paymentIntents } = yield* Stripe
  yield* Effect.exit(paymentIntents.create({ payload }).pipe(Idempotency.withKey(`order/${order}/charge`)))
})

/** So many orders, and a pause after each. */
const charges = Effect.fnUntraced(function* (count: number, pause: Duration.Input) {
  for (let order = 1; order <= count; order++) {
    yield* Effect.forkChild(charge(order))
    yield* Effect.sleep(pause)
  }
})

const key = Redacted.make(SimulatedStripe.defaultApiKey)

/** The client of a Stripe that misbehaves by a plan. */
const client = (plan: FaultPlan.FaultPlan, credential = CredentialSource.fixed(key)) =>
  Layer.unwrap(
    Effect.map(SimulatedStripe.make({ latency: "80 millis" }), (stripe) =>
      Stripe.layer({ credential, policy: { deadline: "10 seconds" } }).pipe(
        Layer.provide(SimulatedNetwork.layer([stripe], { plan }))
      )
    )
  )

/** Stripe is down for 20 seconds. */
const circuitOpen = Effect.gen(function* () {
  yield* charges(4, "1 second")
  const { connections, status } = yield* Health.snapshot
  print(`health: ${status}, circuit ${connections[0]?.circuit.state}`)
  yield* Effect.sleep("40 seconds")
  yield* charges(1, "1 second")
}).pipe(Effect.provide(client(FaultPlan.outage({ from: 0, to: "20 seconds" }))))

/** Stripe answers 429 for two seconds, and asks to wait for one. */
const rateLimit = Effect.andThen(charges(3, "100 millis"), Effect.sleep("20 seconds")).pipe(
  Effect.provide(
    client(FaultPlan.during({ from: 0, to: "2 seconds" }, FaultPlan.always(Fault.rateLimited(Hint.seconds(1)))))
  )
)

/** A write without an idempotency key, by existing code under `Call.layer`; its answer is lost. */
const outcomeUnknown = Effect.gen(function* () {
  const stripe = yield* SimulatedStripe.make({ latency: "80 millis" })
  const network = SimulatedNetwork.layer([stripe], { plan: FaultPlan.script([Fault.lostResponse]) })
  const post = HttpClientRequest.post(`${Stripe.provider.environments.sandbox}/v1/payment_intents`).pipe(
    HttpClientRequest.bearerToken(key),
    HttpClientRequest.bodyUrlParams({ amount: "4200", currency: "eur" })
  )
  const existingCode = Effect.catchTag(HttpClient.execute(post), "HttpClientError", ({ reason }) =>
    Effect.sync(() => print(`the caller has: ${reason.cause instanceof Error ? reason.cause.name : reason._tag}`))
  )
  yield* Effect.provide(existingCode, Call.layer({ provider: "stripe" }).pipe(Layer.provide(network)))
})

/** The key was rotated while the app ran. At the first call the secret store has the old one still, at the second the new one. */
const keyRotated = Effect.suspend(() => {
  let stored = Redacted.make("sk_test_old")
  const read = Effect.sync(() => stored)
  const source = CredentialSource.rereading(stored, read)
  const rotate = Effect.sync(() => void (stored = key))
  return Effect.andThen(charge(1), Effect.andThen(rotate, charge(2))).pipe(
    Effect.provide(client(FaultPlan.none, source))
  )
})

const incidents = new Map<string, Parameters<typeof Simulation.run>[0]>([
  ["circuit-open", circuitOpen],
  ["rate-limit", rateLimit],
  ["outcome-unknown", outcomeUnknown],
  ["key-rotated", keyRotated]
])

const incident = incidents.get(process.argv[2] ?? "")
if (incident === undefined) {
  process.stderr.write(`incidents: name one of ${[...incidents.keys()].join(", ")}\n`)
  process.exit(2)
}
const { outcome } = Simulation.run(Effect.andThen(incident, scrape), { loggers: new Set([logger]), startAt: startedAt })
if (outcome._tag !== "Completed" || outcome.exit._tag !== "Success") throw new Error(JSON.stringify(outcome))
