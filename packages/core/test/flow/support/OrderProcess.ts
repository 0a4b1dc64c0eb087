/** The shop as a real process. Its arguments: where records of calls are, `postgres` or `redis` (orders and commands are in PostgreSQL), prefix of the stores, table of the orders, where Stripe and SendGrid are, and the orders. */
import * as Stores from "@breakwater/core/Stores"
import { SendGrid } from "@breakwater/providers/sendgrid"
import { Stripe } from "@breakwater/providers/stripe"
import { SimulatedSendGrid, SimulatedStripe } from "@breakwater/testkit"
import * as KillPoint from "@breakwater/testkit/node/KillPoint"
import { Effect, Layer, Redacted } from "effect"
import { FetchHttpClient } from "effect/http"
import { postgresClient, redisClient } from "../../store/support/Clients.ts"
import * as OrderFlow from "./OrderFlow.ts"

const [, , server = "postgres", prefix = "", table = "", stripeUrl = "", sendgridUrl = "", ...orders] = process.argv

const clients = Layer.merge(
  Stripe.layer({ credential: Redacted.make(SimulatedStripe.defaultApiKey), baseUrl: stripeUrl }),
  SendGrid.layer({
    credential: Redacted.make(SimulatedSendGrid.defaultApiKey),
    environment: "production",
    baseUrl: sendgridUrl
  })
).pipe(Layer.provide(FetchHttpClient.layer))

const inPostgres = Stores.layerPostgres({ prefix }).pipe(Layer.provideMerge(postgresClient))
const inRedis = Stores.layerRedis({ prefix }).pipe(Layer.provide(redisClient))
const stores = server === "redis" ? Layer.merge(inPostgres, inRedis) : inPostgres

const program = Effect.gen(function* () {
  const till = yield* OrderFlow.inTable(table)
  yield* OrderFlow.run({ orders, till, looks: false, leaseMillis: 1000, name: table })
}).pipe(Effect.provide([clients, KillPoint.layer, stores]))

await Effect.runPromise(program)
