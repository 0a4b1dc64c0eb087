/** One worker of the soak: charges what is in the outbox in PostgreSQL, under records in Redis. Its arguments: prefix of both, where Stripe is, and its key. Says `at work` when it has something to do. */
import * as Fingerprint from "@breakwater/core/Fingerprint"
import * as Idempotency from "@breakwater/core/Idempotency"
import { IdempotencyStore } from "@breakwater/core/IdempotencyStore"
import * as Outbox from "@breakwater/core/Outbox"
import * as Undici from "@breakwater/core/node/Undici"
import * as Stores from "@breakwater/core/Stores"
import { Stripe } from "@breakwater/providers/stripe"
import { Data, Effect, Layer, Redacted } from "effect"
import { postgresClient, redisClient } from "../store/support/Clients.ts"
import { Charge, queue } from "./SoakQueue.ts"

const [, , prefix = "", url = "", apiKey = ""] = process.argv

/** Another worker is at it, or was when it was killed. */
class Busy extends Data.TaggedError("Busy")<{ readonly retryAfter: number }> {}

const charge = Effect.fnUntraced(function* ({ order }: typeof Charge.Type, key: string) {
  const records = yield* IdempotencyStore
  const { paymentIntents } = yield* Stripe
  const fingerprint = Fingerprint.of({ method: "POST", path: `/v1/payment_intents ${order}` })
  const answer = yield* records.claim({ scope: "soak.charge", key, fingerprint, leaseMillis: 2000, sendsNow: true })
  if (answer._tag === "Settled") return
  if (answer._tag === "Locked") return yield* new Busy({ retryAfter: answer.retryAfterMillis })
  if (answer._tag !== "Granted") return yield* Effect.die(new Error(answer._tag))
  const payload = { amount: 4200, currency: "eur", confirm: true, payment_method: "pm_card_visa", metadata: { order } }
  const { id } = yield* paymentIntents.create({ payload }).pipe(Idempotency.withKey(key))
  const settlement = { _tag: "Succeeded", payload: { version: 1, value: id }, retentionMillis: 600_000 } as const
  yield* records.settle(answer.claim, settlement)
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
  handle: (payload, { key }) => Effect.andThen(atWork, charge(payload, key)),
  classify: (error) => (error._tag === "Busy" ? { retryAfter: error.retryAfter } : undefined)
})

const stores = Layer.merge(
  Stores.layerPostgres({ prefix }).pipe(Layer.provide(postgresClient)),
  Stores.layerRedis({ prefix }).pipe(Layer.provide(redisClient))
)
const stripe = Stripe.layer({
  credential: Redacted.make(apiKey),
  baseUrl: url,
  rateLimit: 1_000_000
}).pipe(Layer.provide(Undici.layer()))

const worker = charges.run({ concurrency: 32, batch: 128, lease: "2 seconds", pollEvery: "250 millis" })
await Effect.runPromise(Effect.provide(worker, Layer.merge(stores, stripe)))
