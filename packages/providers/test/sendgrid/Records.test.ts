import { assert, describe, it } from "@effect/vitest"
import { Doubts, Idempotency, IdempotencyStore, Resolver } from "@breakwater/core"
import { Connections } from "@breakwater/core/Connections"
import { Context, Effect, Layer, Redacted } from "effect"
import { TestClock } from "effect/testing"
import { SendGrid } from "@breakwater/providers/sendgrid"
import { Fault, FaultPlan, SimulatedNetwork, SimulatedSendGrid } from "@breakwater/testkit"
import { quietly, shortly, toEnd } from "../stripe/Checkout.ts"

const payload = {
  personalizations: [{ to: [{ email: "ada@customer.example" }] }],
  from: { email: "shop@shop.example" },
  subject: "Your order",
  content: [{ type: "text/plain", value: "It is on its way." }]
} as const

type Doubt = Effect.Success<ReturnType<typeof Doubts.list>>[number]

/** An e-mail that ends in doubt and is asked for again, then settled one way or another half an hour later, and asked for once more. */
const inDoubt = (
  fault: Fault.Fault,
  settle: (doubt: Doubt) => Effect.Effect<unknown, unknown, IdempotencyStore.IdempotencyStore>
) =>
  Effect.gen(function* () {
    const simulated = yield* SimulatedSendGrid.make({ activityLag: "1 minute" })
    const network = SimulatedNetwork.layer([simulated], { plan: FaultPlan.script([fault]) })
    const live = SendGrid.layer({
      credential: Redacted.make(SimulatedSendGrid.defaultApiKey),
      environment: "production"
    })
    const sendgrid = Context.get(yield* Layer.build(Layer.provide(live, network)), SendGrid)
    const send = sendgrid.mail.send({ payload }).pipe(Idempotency.once("order/1"))
    const first = [yield* toEnd(send), yield* toEnd(send)].map(shortly)
    yield* TestClock.adjust("30 minutes")
    const doubts = yield* Doubts.list()
    yield* Effect.forEach(doubts, settle)
    const exit = yield* toEnd(send)
    const value: unknown = exit._tag === "Success" ? exit.value : shortly(exit)
    return { first, doubts: doubts.length, value, sent: simulated.ledger.ofKind("email.accepted").length }
  }).pipe(
    Effect.provideService(IdempotencyStore.IdempotencyStore, IdempotencyStore.memory()),
    Effect.provideService(Connections, new Set()),
    quietly
  )

/** The first call cannot know; the second is told that nobody does, and sends nothing. */
const first = ["OutcomeUnknown TransportFailed after 1", "OutcomeUnknown Unresolved after 0"]

describe("SendGrid: an e-mail in doubt, with a store (IDEM-4)", () => {
  it.effect("that was sent is found by a sweep, and whoever asks again is told so", () =>
    Effect.gen(function* () {
      const { value, ...rest } = yield* inDoubt(Fault.lostResponse, () => Resolver.sweep())

      assert.deepStrictEqual(rest, { first, doubts: 1, sent: 1 })
      assert.deepInclude(value as object, { _tag: "Accepted" })
    })
  )

  it.effect("that was not sent is found not to be there, and is sent by whoever asks again", () =>
    Effect.gen(function* () {
      const { value, ...rest } = yield* inDoubt(Fault.resetBefore, () => Resolver.sweep())

      assert.deepStrictEqual(rest, { first, doubts: 1, sent: 1 })
      assert.deepInclude(value as object, { _tag: "Accepted" })
    })
  )

  it.effect("is what an operator says that it is", () =>
    Effect.gen(function* () {
      const accepted = { _tag: "Accepted", messageId: "abc" }

      assert.deepStrictEqual(
        yield* inDoubt(Fault.lostResponse, (doubt) =>
          Doubts.settleAs({ ...doubt, by: "ana", as: Doubts.done(accepted) })
        ),
        { first, doubts: 1, sent: 1, value: accepted }
      )
    })
  )

  it.effect("of which an operator knows only that it was sent is not sent again, and has no answer", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(
        yield* inDoubt(Fault.lostResponse, (doubt) => Doubts.settleAs({ ...doubt, by: "ana", as: Doubts.done() })),
        { first, doubts: 1, sent: 1, value: "FatalError RecordUnusable after 0" }
      )
    })
  )
})
