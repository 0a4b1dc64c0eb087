/**
 * An order on a day when the payment provider is down (DEGR-2): it is stored with the command to charge it, in one transaction, and charged once when the provider is back. Teaches the
 * outbox: add, work off, ask what became of it, redrive. Run it: `node examples/06-outbox.ts`. No network.
 */
import { Idempotency, Outbox } from "@breakwater/core"
import * as Stores from "@breakwater/core/node/Stores"
import { Stripe } from "@breakwater/providers/stripe"
import { Fault, FaultPlan, SimulatedNetwork, SimulatedStripe } from "@breakwater/testkit"
import { Effect, Layer, Redacted, References, Schema } from "effect"
import { SqlClient } from "effect/sql"

// 1. What is to be done later: its queue, what a command says, and how it is carried out, under the command's own key.
const charges = Outbox.make({
  queue: "charge",
  payload: Schema.Struct({ order: Schema.String, amountCents: Schema.Int, card: Schema.String }),
  handle: Effect.fnUntraced(function* ({ amountCents, card, order }, { key }) {
    const { paymentIntents } = yield* Stripe
    const payload = { amount: amountCents, currency: "eur", confirm: true, payment_method: card, metadata: { order } }
    yield* paymentIntents.create({ payload }).pipe(Idempotency.withKey(key))
  }),
  // The pauses of a demonstration; the default goes on for 28 hours.
  schedule: ["200 millis", "400 millis", "800 millis", "1 second"]
})

const keyOf = (order: string) => `order/${order}/charge`

/** The order and its charge are there both, or neither. */
const place = Effect.fnUntraced(function* (order: string, card: string) {
  const sql = yield* SqlClient.SqlClient
  yield* sql.withTransaction(
    Effect.andThen(
      sql`INSERT INTO orders (id) VALUES (${order})`,
      charges.add({ order, amountCents: 4200, card }, { key: keyOf(order) })
    )
  )
})

const say = (line: string) => Effect.sync(() => void process.stdout.write(`${line}\n`))

/** Waits until nothing is to be done, for a few seconds at most. */
const settled = charges.counts.pipe(
  Effect.delay("50 millis"),
  Effect.repeat({ until: ({ Claimed, Ready, Scheduled }) => Ready + Claimed + Scheduled === 0 }),
  Effect.timeout("10 seconds")
)

const tell = Effect.fnUntraced(function* (order: string) {
  const status = yield* charges.status(keyOf(order))
  const note = status?.state === "done" || status?.note === undefined ? "" : `; ${status.note}`
  yield* say(`order ${order}: ${status?.state}, ${status?.attempts} attempts${note}`)
})

const program = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* sql`CREATE TABLE orders (id TEXT PRIMARY KEY)`

  // 2. What cannot be kept is refused before anything is stored: the order goes with it.
  const invalid = yield* Effect.flip(place("8730", "x".repeat(2_000_000)))
  yield* say(`order 8730: not taken: ${invalid.message}`)

  // 3. The provider is down, and orders are taken all the same.
  yield* place("8731", "pm_card_visa")
  yield* place("8732", "pm_card_visa_chargeDeclined")
  yield* tell("8731")

  // 4. Workers, here or in other processes, charge what is there. A declined card is dead at once.
  yield* settled
  yield* tell("8731")
  yield* tell("8732")

  // 5. An operator sees what is dead, and why; he gives it up, or redrives it when its reason is gone.
  for (const { sequence, value } of yield* charges.list()) {
    yield* say(`dead: order ${value?.order}`)
    yield* charges.discard(sequence, { note: "the customer paid in cash" })
  }
  yield* tell("8732")
})

const main = Effect.gen(function* () {
  const stripe = yield* SimulatedStripe.make()
  // The first charge is made, and its answer lost; then nobody answers.
  const plan = FaultPlan.script([Fault.lostResponse, Fault.status(503), Fault.refused])
  const StripeLive = Stripe.layer({
    credential: Redacted.make(SimulatedStripe.defaultApiKey),
    policy: { attempts: 1 } // the outbox tries again
  }).pipe(Layer.provide(SimulatedNetwork.layer([stripe], { plan })))

  // 6. One layer for the stores, one for the worker, one that forgets what is done and over.
  const StoresLive = Stores.layerSqlite({ filename: ":memory:" })
  const Workers = Layer.merge(charges.layerWorker({ concurrency: 4, pollEvery: "50 millis" }), Stores.layerPurge())
  yield* Effect.provide(program, Workers.pipe(Layer.provideMerge(StoresLive), Layer.provide(StripeLive)))
  yield* say(`charges at Stripe: ${stripe.ledger.ofKind("charge.succeeded").length}`)
})

// The lines of failures are left out here: they would hide what the example says.
await Effect.runPromise(Effect.scoped(main).pipe(Effect.provideService(References.MinimumLogLevel, "None")))
