/** Commands whose calls have records, and whose process is killed at every step: the record is locked then, and in doubt; what is sent is told by the providers. */
import { assert, describe, it } from "@effect/vitest"
import { Idempotency, IdempotencyStore, Outbox, Resolver } from "@breakwater/core"
import * as OutboxMemory from "@breakwater/core/OutboxMemory"
import { OutboxStore } from "@breakwater/core/OutboxStore"
import { SendGrid } from "@breakwater/providers/sendgrid"
import { Stripe } from "@breakwater/providers/stripe"
import { Mode, Process, SimulatedNetwork, SimulatedSendGrid, SimulatedStripe, Simulation } from "@breakwater/testkit"
import { Effect, Layer, Redacted, Schema } from "effect"

const latency = "80 millis"

const mails = Outbox.make({
  queue: "mail",
  payload: Schema.String,
  schedule: Array.from({ length: 10 }, () => "10 minutes" as const),
  // The record of the call knows better: what may be there is looked up, and not sent.
  onUnknown: () => Effect.succeed("not done" as const),
  handle: (to, { key }) =>
    Effect.flatMap(SendGrid, ({ mail }) =>
      mail.send({
        payload: {
          personalizations: [{ to: [{ email: to }] }],
          from: { email: "shop@shop.example" },
          subject: "Your order",
          content: [{ type: "text/plain", value: "It is on its way." }]
        }
      })
    ).pipe(Resolver.orLookup, Idempotency.once(key))
})

const charges = Outbox.make({
  queue: "charge",
  payload: Schema.Int,
  schedule: Array.from({ length: 10 }, () => "1 minute" as const),
  handle: (amount, { key }) =>
    Effect.flatMap(Stripe, ({ paymentIntents }) =>
      paymentIntents.create({ payload: { amount, currency: "eur", confirm: true, payment_method: "pm_card_visa" } })
    ).pipe(Resolver.orLookup, Idempotency.withKey(key))
})

const world = Effect.gen(function* () {
  const stripe = yield* SimulatedStripe.make({ latency })
  const sendgrid = yield* SimulatedSendGrid.make({ latency, activityLag: "1 second" })
  // They stand for durable ones: they outlive their process.
  return { stripe, sendgrid, outbox: OutboxMemory.make(), records: IdempotencyStore.memory(), kills: 0 }
})
type World = Effect.Success<typeof world>

const clients = ({ sendgrid, stripe }: World) =>
  Layer.merge(
    Stripe.layer({ credential: Redacted.make(SimulatedStripe.defaultApiKey) }),
    SendGrid.layer({ credential: Redacted.make(SimulatedSendGrid.defaultApiKey), environment: "production" })
  ).pipe(Layer.provide(SimulatedNetwork.layer([stripe, sendgrid])))

/** One life of the shop: it adds its commands, and works until they are done. */
const life = Effect.gen(function* () {
  yield* charges.add(4200, { key: "order/1/charge" })
  yield* mails.add("ada@customer.example", { key: "order/1/mail" })
  const isSettled = (status: Outbox.Status | undefined) => status !== undefined && status.state !== "accepted"
  yield* Effect.forkScoped(charges.run({ concurrency: 1, lease: "5 seconds" }))
  yield* Effect.forkScoped(mails.run({ concurrency: 1, lease: "5 seconds" }))
  for (;;) {
    if (isSettled(yield* charges.status("order/1/charge")) && isSettled(yield* mails.status("order/1/mail"))) return
    yield* Effect.sleep("1 second")
  }
})

const flow = Simulation.make({
  name: "commands with records",
  world,
  program: (world: World) =>
    Effect.gen(function* () {
      const run = Effect.scoped(life).pipe(
        Effect.provideService(OutboxStore, world.outbox),
        Effect.provideService(IdempotencyStore.IdempotencyStore, world.records),
        Effect.provide(clients(world)),
        Effect.orDie
      )
      const shop = yield* Process.start("shop", run, { maxKills: 1 })
      yield* shop.join
      world.kills = yield* shop.kills
    }),
  invariant: ({ world }) => {
    const [paid, sent] = [
      world.stripe.ledger.ofKind("charge.succeeded"),
      world.sendgrid.ledger.ofKind("email.accepted")
    ]
    return paid.length === 1 && sent.length === 1 ? undefined : `${paid.length} charges, ${sent.length} e-mails`
  },
  sometimes: {
    "it is killed while an e-mail is under way": ({ world }) =>
      world.kills > 0 && world.sendgrid.ledger.exchanges.some(({ operation }) => operation === "messages.list")
  }
})

describe("Commands whose calls have records", () => {
  it("are carried out once, wherever their process is killed", () => {
    const outcome = Simulation.verify(flow, Mode.exhaustive({ deviations: 1 }))
    process.stdout.write(`${flow.name}: ${Simulation.summary(outcome)}\n`)

    assert.isTrue(outcome.exhausted)
  })
})
