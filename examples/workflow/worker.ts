/** The process in which the workflow runs. Its arguments: the URL of the database, the URLs of Stripe and SendGrid, and the order. Ends when the order is confirmed, or when whoever started it does. */
import * as Stores from "@breakwater/core/Stores"
import * as Undici from "@breakwater/core/node/Undici"
import { SendGrid } from "@breakwater/providers/sendgrid"
import { Stripe } from "@breakwater/providers/stripe"
import { SimulatedSendGrid } from "@breakwater/testkit"
import * as NodeCrypto from "@effect/platform-node/NodeCrypto"
import * as PgClient from "@effect/sql-pg/PgClient"
import { Effect, Layer, Logger, Redacted } from "effect"
import { ClusterWorkflowEngine, SingleRunner } from "effect/cluster"
import { Purchase, PurchaseLive } from "./Purchase.ts"

const [, , database = "", stripeUrl = "", sendgridUrl = "", order = ""] = process.argv

const Database = PgClient.layer({ url: Redacted.make(database) })

const StripeLive = Stripe.layer({ credential: Redacted.make("sk_test_workflow"), baseUrl: stripeUrl })
// Stripe remembers keys by itself; for SendGrid, records in the same database do.
const SendGridLive = SendGrid.layer({
  credential: Redacted.make(SimulatedSendGrid.defaultApiKey),
  environment: "production",
  baseUrl: sendgridUrl
}).pipe(Layer.provide(Stores.layerPostgres()), Layer.provide(Database))

const EngineLive = ClusterWorkflowEngine.layer.pipe(
  // By default a workflow that was interrupted is looked for every 10 seconds.
  Layer.provideMerge(SingleRunner.layer({ shardingConfig: { entityMessagePollInterval: "200 millis" } })),
  Layer.provide(NodeCrypto.layer),
  Layer.provide(Database)
)

const Live = PurchaseLive.pipe(
  Layer.provide(Layer.merge(StripeLive, SendGridLive)),
  Layer.provide(Undici.layer()),
  Layer.provideMerge(EngineLive),
  Layer.provideMerge(Layer.succeed(Logger.CurrentLoggers, new Set([Logger.consoleLogFmt])))
)

process.stdin
  .resume()
  .on("close", () => process.exit(1))
  .unref()

const bought = Purchase.execute({ order, amountCents: 4200, to: "ada@customer.example" })

await Effect.runPromise(Effect.provide(bought, Live))
