import { assert, describe, it } from "@effect/vitest"
import { Call, IdempotencyStore, Resolver } from "@breakwater/core"
import { Connections } from "@breakwater/core/Connections"
import { once } from "@breakwater/core/Idempotency"
import { scopeOf } from "@breakwater/core/IdempotencyRecord"
import { Context, Effect, Layer, Redacted } from "effect"
import { TestClock } from "effect/testing"
import { SendGrid } from "@breakwater/providers/sendgrid"
import { Fault, FaultPlan, SimulatedNetwork, SimulatedSendGrid } from "@breakwater/testkit"
import { quietly, shortly, toEnd } from "../stripe/Checkout.ts"

const key = "order/8731/confirmation"
const payload = {
  personalizations: [{ to: [{ email: "ada@customer.example" }] }],
  from: { email: "shop@shop.example" },
  subject: "Your order",
  content: [{ type: "text/plain", value: "It is on its way." }],
  custom_args: { order: "8731" }
} as const

const open = Effect.fnUntraced(function* (faults: ReadonlyArray<Fault.Fault>) {
  const simulated = yield* SimulatedSendGrid.make({ activityLag: "1 minute" })
  const network = SimulatedNetwork.layer([simulated], { plan: FaultPlan.script(faults) })
  const credential = Redacted.make(SimulatedSendGrid.defaultApiKey)
  const live = SendGrid.layer({ credential, environment: "production" })
  const sendgrid = Context.get(yield* Layer.build(Layer.provide(live, network)), SendGrid)
  return { ledger: simulated.ledger, send: sendgrid.mail.send({ payload }).pipe(Resolver.orLookup, once(key)) }
})

describe("SendGrid: an e-mail in doubt", () => {
  it.effect("is found by its key as soon as the activity has it, and sent once", () =>
    Effect.gen(function* () {
      const { ledger, send } = yield* open([Fault.lostResponse])
      const exit = yield* toEnd(Call.withDeadline(send, "20 minutes"))

      const [accepted] = ledger.ofKind("email.accepted")
      assert.deepStrictEqual(accepted?.metadata, { order: "8731", reference: key })
      const value: unknown = exit._tag === "Success" ? exit.value : exit
      assert.deepStrictEqual(value, { _tag: "Accepted", messageId: accepted?.ids["message"] })
      assert.lengthOf(ledger.ofKind("email.accepted"), 1)
    }).pipe(quietly)
  )

  it.effect("stays in doubt for a caller that cannot wait for the activity", () =>
    Effect.gen(function* () {
      const { ledger, send } = yield* open([Fault.lostResponse])
      const exit = yield* toEnd(send)

      assert.strictEqual(shortly(exit), "OutcomeUnknown TransportFailed after 1")
      assert.lengthOf(ledger.ofKind("email.accepted"), 1)
    }).pipe(quietly)
  )

  it.effect("is settled by a sweep with the answer that it would have had", () =>
    Effect.gen(function* () {
      const store = IdempotencyStore.memory()
      const { ledger, send } = yield* open([Fault.lostResponse])
      const scope = scopeOf({ operation: "sendgrid.mail.send", connection: "default", environment: "production" })
      const claim = { scope, key, fingerprint: "f", leaseMillis: 60_000, windowMillis: 0 }
      const answer = yield* store.claim({ ...claim, sendsNow: true })
      yield* toEnd(send)
      if (answer._tag === "Granted") yield* store.settle(answer.claim, { _tag: "Unknown" })
      yield* TestClock.adjust("2 minutes")
      yield* toEnd(Effect.provideService(Resolver.sweep(), IdempotencyStore.IdempotencyStore, store))
      const again = yield* store.claim(claim)

      const messageId = ledger.ofKind("email.accepted")[0]?.ids["message"] ?? ""
      assert.deepStrictEqual(again._tag === "Settled" && (again.payload.value as { outcome: unknown }).outcome, {
        status: 202,
        headers: { "x-message-id": messageId },
        text: ""
      })
    }).pipe(Effect.provideService(Connections, new Set()), quietly)
  )
})
