/** A provider that pays: once for each key, or as often as it is asked. It stands in a simulation, with a ledger of what it did. */
import { Context, Effect, type Layer, Redacted, Schema } from "effect"
import type { HttpClient } from "effect/http"
import { HttpApi, HttpApiBuilder, HttpApiEndpoint, HttpApiGroup } from "effect/http-api"
import * as Auth from "@breakwater/core/Auth"
import type { CallPolicyError } from "@breakwater/core/CallPolicy"
import * as Client from "@breakwater/core/Client"
import * as Provider from "@breakwater/core/Provider"
import * as Safety from "@breakwater/core/Safety"
import type { FaultPlan } from "@breakwater/testkit"
import { IdempotencyKeys, Ledger, SimulatedNetwork, SimulatedProvider } from "@breakwater/testkit"

const keys = { header: "Idempotency-Key", window: "24 hours" } as const
const Payment = Schema.Struct({ id: Schema.String })
const payload = Schema.Struct({ cents: Schema.Int })

const api = HttpApi.make("payer").add(
  HttpApiGroup.make("payments").add(
    HttpApiEndpoint.post("charge", "/charges", { payload, success: Payment }).pipe(Safety.keyed(keys)),
    HttpApiEndpoint.post("send", "/transfers", { payload, success: Payment })
  )
)

const provider = Provider.make("payer", {
  api,
  environments: { sandbox: "https://sandbox.payer.test", production: "https://api.payer.test" },
  auth: Auth.bearer()
})

export class Payer extends Context.Service<Payer, Client.Of<typeof provider>>()("test/Payer") {}

/** How a call is to be sent again after an answer was lost is another test's business. */
export const layer: Layer.Layer<Payer, Client.ConnectionError | CallPolicyError, HttpClient.HttpClient> = Client.layer(
  Payer,
  provider,
  { credential: Redacted.make("key-of-a-test"), policy: { attempts: 2, deadline: "5 seconds" } }
)

/** Of the simulation that runs, so that handlers are built once for all of them. */
const CurrentLedger = Context.Reference<Ledger>("test/Payer/CurrentLedger", { defaultValue: () => new Ledger() })

const pay = (kind: string, amount: number) =>
  Effect.map(CurrentLedger, (ledger) => {
    ledger.record({ kind, amount })
    return { id: `p${ledger.entries.length}` }
  })

const handlers = HttpApiBuilder.group(api, "payments", (handlers) =>
  handlers
    .handle("charge", ({ payload }) => pay("charge", payload.cents))
    .handle("send", ({ payload }) => pay("send", payload.cents))
)

/** The provider, and the network to it. */
export const simulated = Effect.fnUntraced(function* (plan?: FaultPlan.FaultPlan) {
  const ledger = new Ledger()
  const payer = yield* SimulatedProvider.make({
    provider,
    handlers,
    ledger,
    state: Context.make<never, Ledger>(CurrentLedger, ledger),
    parts: [IdempotencyKeys.make(keys)],
    latency: "80 millis"
  })
  const client = yield* SimulatedNetwork.client([payer], { plan })
  return { ledger, client }
})
