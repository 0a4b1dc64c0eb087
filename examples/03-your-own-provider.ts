/**
 * From nothing to a protected call and a fault test: a provider declared, called, simulated from the same declaration, and struck by faults.
 * Teaches docs/declare-a-provider.md in one file. Run it: `node examples/03-your-own-provider.ts`. No network.
 */
import { Auth, Client, Idempotency, Provider, Safety } from "@breakwater/core"
import { Fault, FaultPlan, IdempotencyKeys, Ledger, SimulatedNetwork, SimulatedProvider } from "@breakwater/testkit"
import { Context, Effect, Layer, Redacted, Schema } from "effect"
import { HttpApi, HttpApiBuilder, HttpApiEndpoint, HttpApiGroup } from "effect/http-api"

// 1. Declare: what the provider offers, and what may be sent twice.
const keys = { header: "Idempotency-Key", window: "24 hours" } as const
const payload = Schema.Struct({ amountCents: Schema.Int })
const success = Schema.Struct({ id: Schema.String, amountCents: Schema.Int })
const create = HttpApiEndpoint.post("create", "/payouts", { payload, success }).pipe(Safety.keyed(keys))
const api = HttpApi.make("acme").add(HttpApiGroup.make("payouts").add(create))
const environments = { sandbox: "https://sandbox.acme.example", production: "https://api.acme.example" }
const provider = Provider.make("acme", { api, environments, auth: Auth.bearer() })
class Acme extends Context.Service<Acme, Client.Of<typeof provider>>()("examples/Acme") {}
const AcmeLive = Client.layer(Acme, provider, { credential: Redacted.make("key-123") })

// 2. Call: the type requires the key.
const pay = Effect.fnUntraced(function* (invoice: string, amountCents: number) {
  const acme = yield* Acme
  return yield* acme.payouts.create({ payload: { amountCents } }).pipe(Idempotency.withKey(`invoice/${invoice}/payout`))
})

// 3. Simulate: the same declaration with a handler behind it, and a ledger of what was really done.
const simulated = Effect.suspend(() => {
  const ledger = new Ledger()
  const handlers = HttpApiBuilder.group(api, "payouts", (handlers) =>
    handlers.handle("create", ({ payload: { amountCents } }) =>
      Effect.sync(() => {
        ledger.record({ kind: "payout", amount: amountCents })
        return { id: `po_${ledger.entries.length}`, amountCents }
      })
    )
  )
  return SimulatedProvider.make({ provider, handlers, ledger, parts: [IdempotencyKeys.make(keys)] })
})

// 4. Test: whatever strikes the first attempt, the money moves once.
const { garbage, lostResponse, none, refused, resetBefore, status, truncated } = Fault
for (const fault of [none, refused, resetBefore, lostResponse, truncated(), garbage, status(503)]) {
  const paid = Effect.gen(function* () {
    const acme = yield* simulated
    const network = SimulatedNetwork.layer([acme], { plan: FaultPlan.script([fault]) })
    yield* Effect.provide(pay("2026-11", 4200), Layer.provide(AcmeLive, network))
    process.stdout.write(`${fault.name}: ${acme.ledger.ofKind("payout").length} payout\n`)
  })
  await Effect.runPromise(Effect.scoped(paid))
}
