/**
 * Answers that survive an outage: a page shows exchange rates while their provider is down for two hours, and says how old they are. On virtual time; no network.
 * Run it: `node examples/07-answers.ts`
 */
import { Answer, Auth, Caching, Client, Provider } from "@breakwater/core"
import { FaultPlan, Ledger, SimulatedNetwork, SimulatedProvider, Simulation } from "@breakwater/testkit"
import { Context, Duration, Effect, Layer, Redacted, Schema } from "effect"
import { HttpApi, HttpApiBuilder, HttpApiEndpoint, HttpApiGroup } from "effect/http-api"

const Rate = Schema.Struct({ pair: Schema.String, rate: Schema.Finite })

const api = HttpApi.make("rates").add(
  HttpApiGroup.make("rates").add(
    HttpApiEndpoint.get("get", "/rates/:pair", { params: { pair: Schema.String }, success: Rate }).pipe(
      Caching.ttl({ ttl: "5 minutes", staleFor: "1 hour" })
    )
  )
)

const provider = Provider.make("rates", {
  api,
  environments: { sandbox: "https://sandbox.rates.example", production: "https://api.rates.example" },
  auth: Auth.bearer()
})

class Rates extends Context.Service<Rates, Client.Of<typeof provider>>()("examples/Rates") {}

/** What the page shows: it never fails, and never lies about the age. */
const line = Effect.gen(function* () {
  const { rates } = yield* Rates
  const { age, degradedBy, source, value } = yield* Answer.capture(rates.get({ params: { pair: "EURUSD" } }))
  const because = degradedBy === undefined ? "" : `, since ${degradedBy.reason.message}`
  return `${value.pair} ${value.rate} (${source}, ${Duration.format(age)} old${because})`
}).pipe(Effect.catchTag("RetryableError", ({ reason }) => Effect.succeed(`no rate: ${reason.message}`)))

const handlers = HttpApiBuilder.group(api, "rates", (handlers) =>
  handlers.handle("get", ({ params: { pair } }) => Effect.succeed({ pair, rate: 1.08 }))
)

const program = Effect.gen(function* () {
  const simulated = yield* SimulatedProvider.make({ provider, handlers, ledger: new Ledger() })
  const plan = FaultPlan.outage({ from: "10 minutes", to: "130 minutes" })
  const layer = Client.layer(Rates, provider, { credential: Redacted.make("key"), policy: { attempts: 1 } }).pipe(
    Layer.provide(SimulatedNetwork.layer([simulated], { plan }))
  )
  return yield* Effect.gen(function* () {
    const lines: Array<string> = []
    for (const minutes of [0, 3, 27, 35, 20, 60]) {
      yield* Effect.sleep(Duration.minutes(minutes))
      lines.push(yield* line)
    }
    return lines
  }).pipe(Effect.provide(layer))
})

const { outcome } = Simulation.run(program, { loggers: new Set() })
if (outcome._tag !== "Completed" || outcome.exit._tag !== "Success") throw new Error(JSON.stringify(outcome))
process.stdout.write(`${outcome.exit.value.join("\n")}\n`)
