/** One worker of the soak: charges what is in the outbox in PostgreSQL, under records in Redis. Its arguments: prefix of both, where Stripe is, and its key. Says `at work` when it has something to do. */
import * as Call from "@breakwater/core/Call"
import * as Idempotency from "@breakwater/core/Idempotency"
import * as Outbox from "@breakwater/core/Outbox"
import * as Undici from "@breakwater/core/node/Undici"
import * as Stores from "@breakwater/core/Stores"
import { Stripe } from "@breakwater/providers/stripe"
import { Effect, Layer, Redacted } from "effect"
import { postgresClient, redisClient } from "../store/support/Clients.ts"
import { Charge, queue } from "./SoakQueue.ts"

const [, , prefix = "", url = "", apiKey = ""] = process.argv

const charge = Effect.fnUntraced(function* ({ order }: typeof Charge.Type, key: string) {
  const { paymentIntents } = yield* Stripe
  const payload = { amount: 4200, currency: "eur", confirm: true, payment_method: "pm_card_visa", metadata: { order } }
  // A worker that is killed keeps its charges locked for that long, and 5 seconds.
  yield* paymentIntents.create({ payload }).pipe(Idempotency.withKey(key), Call.withDeadline("2 seconds"))
})

let isAtWork = false
const atWork = Effect.sync(() => {
  if (!isAtWork) process.stdout.write("at work\n")
  isAtWork = true
})

// A worker whose parent is gone has nobody to work for.
process.stdin.resume().on("end", () => process.exit(1))

const charges = Outbox.make({
  queue,
  payload: Charge,
  schedule: Array.from({ length: 30 }, () => "1 second" as const),
  handle: (payload, { key }) => Effect.andThen(atWork, charge(payload, key))
})

const outbox = Stores.layerPostgres({ prefix }).pipe(Layer.provide(postgresClient))
const records = Stores.layerRedis({ prefix }).pipe(Layer.provide(redisClient))
const stripe = Stripe.layer({
  credential: Redacted.make(apiKey),
  baseUrl: url,
  rateLimit: 1_000_000
}).pipe(Layer.provide([Undici.layer(), records]))

const worker = charges.run({ concurrency: 32, batch: 128, lease: "2 seconds", pollEvery: "250 millis" })
await Effect.runPromise(Effect.provide(worker, Layer.merge(outbox, stripe)))
