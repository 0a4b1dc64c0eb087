import { assert, describe, it } from "@effect/vitest"
import { Idempotency, IdempotencyStore, Resolver, Doubts } from "@breakwater/core"
import { Connections } from "@breakwater/core/Connections"
import { Context, Effect, Layer, Redacted } from "effect"
import { TestClock } from "effect/testing"
import { SendGrid } from "@breakwater/providers/sendgrid"
import { Fault, FaultPlan, SimulatedNetwork, SimulatedSendGrid } from "@breakwater/testkit"
import { open as openStripe, quietly, shortly, toEnd } from "../stripe/Checkout.ts"

const payload = {
  personalizations: [{ to: [{ email: "ada@customer.example" }] }],
  from: { email: "shop@shop.example" },
  subject: "Your order",
  content: [{ type: "text/plain", value: "It is on its way." }]
} as const
const around = <A, E, R>(e: Effect.Effect<A, E, R>) =>
  e.pipe(
    Effect.provideService(IdempotencyStore.IdempotencyStore, IdempotencyStore.memory()),
    Effect.provideService(Connections, new Set()),
    quietly
  )

describe("together", () => {
  for (const how of ["found", "absent", "by hand", "by hand without value"] as const)
    it.effect(`sendgrid ${how}`, () =>
      around(
        Effect.gen(function* () {
          const simulated = yield* SimulatedSendGrid.make({ activityLag: "1 minute" })
          const fault = how === "absent" ? Fault.resetBefore : Fault.lostResponse
          const network = SimulatedNetwork.layer([simulated], { plan: FaultPlan.script([fault]) })
          const live = SendGrid.layer({
            credential: Redacted.make(SimulatedSendGrid.defaultApiKey),
            environment: "production"
          })
          const sendgrid = Context.get(yield* Layer.build(Layer.provide(live, network)), SendGrid)
          const send = sendgrid.mail.send({ payload }).pipe(Idempotency.once("order/1"))
          const first = yield* toEnd(send)
          const second = yield* toEnd(send)
          yield* TestClock.adjust("30 minutes")
          const [doubt] = yield* Doubts.list()
          if (how.startsWith("by hand") && doubt)
            yield* Doubts.settleAs({
              ...doubt,
              by: "ana",
              as: how === "by hand" ? Doubts.done({ _tag: "Accepted", messageId: "abc" }) : Doubts.done()
            })
          const swept = yield* toEnd(Resolver.sweep())
          const third = yield* toEnd(send)
          console.log(
            how,
            shortly(first),
            "|",
            shortly(second),
            "|",
            JSON.stringify(doubt),
            "|",
            JSON.stringify(swept._tag === "Success" && swept.value),
            "|",
            shortly(third),
            JSON.stringify(third._tag === "Success" && third.value),
            "accepted",
            simulated.ledger.ofKind("email.accepted").length
          )
        })
      )
    )
  it.effect("stripe", () =>
    around(
      Effect.gen(function* () {
        const { ledger, stripe } = yield* openStripe({
          faults: [Fault.crash({ processed: true })],
          policy: { attempts: 2, backoff: { base: 1, cap: 1 } }
        })
        const pay = stripe.paymentIntents
          .create({ payload: { amount: 4200, currency: "eur", confirm: true, payment_method: "pm_card_visa" } })
          .pipe(Idempotency.withKey("order/7"))
        const first = yield* toEnd(pay)
        yield* TestClock.adjust("25 hours")
        const second = yield* toEnd(pay.pipe(Resolver.orLookup))
        const third = yield* toEnd(pay)
        console.log(
          "stripe",
          shortly(first),
          "|",
          shortly(second),
          "|",
          shortly(third),
          third._tag === "Success" && third.value.status,
          "charges",
          ledger.ofKind("charge.succeeded").length
        )
      })
    )
  )
})
