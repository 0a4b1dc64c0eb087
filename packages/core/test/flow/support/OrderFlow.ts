/** A shop whose orders go *order → charge → e-mail*: the order and the command to charge it in one transaction, the e-mail a command that the charge adds. Both providers are the simulated ones. */
import { Idempotency, Outbox } from "@breakwater/core"
import type { OutboxStore } from "@breakwater/core/OutboxStore"
import { SendGrid, byCustomArg } from "@breakwater/providers/sendgrid"
import { Stripe } from "@breakwater/providers/stripe"
import { Process } from "@breakwater/testkit"
import { Effect, Schema } from "effect"
import { SqlClient } from "effect/sql"

/** Where orders are kept. */
export interface Till {
  /** Writes an order, and what belongs to it, in one transaction. */
  readonly place: <E>(
    order: string,
    commands: Effect.Effect<unknown, E, OutboxStore>
  ) => Effect.Effect<void, unknown, OutboxStore>
  readonly isPlaced: (order: string) => Effect.Effect<boolean, unknown>
}

export interface Shop {
  readonly orders: ReadonlyArray<string>
  readonly till: Till
  /** It looks for an e-mail that may have been sent before it sends it again. */
  readonly looks: boolean
  readonly leaseMillis: number
  /** Distinguishes the queues of programs over one database. */
  readonly name?: string
}

const Order = Schema.Struct({ order: Schema.String })

const mailsOf = ({ looks, name = "shop" }: Shop) =>
  Outbox.make({
    queue: `${name} mail`,
    payload: Order,
    schedule: Array.from({ length: 10 }, () => "2 seconds" as const),
    handle: Effect.fnUntraced(function* ({ order }, { maybeSent }) {
      const { mail, messages } = yield* SendGrid
      if (looks && maybeSent) {
        const found = yield* messages.list({ query: { query: byCustomArg("reference", order), limit: 1 } })
        if (found.messages.length > 0) return
      }
      yield* Process.point("mailing")
      yield* mail.send({
        payload: {
          personalizations: [{ to: [{ email: `${order}@customer.example` }] }],
          from: { email: "shop@shop.example", name: "Shop" },
          subject: "Your order",
          content: [{ type: "text/plain", value: "Thank you." }],
          custom_args: { reference: order }
        }
      })
      yield* Process.point("mailed")
    })
  })

const chargesOf = ({ name = "shop" }: Shop, mails: ReturnType<typeof mailsOf>) =>
  Outbox.make({
    queue: `${name} charge`,
    payload: Order,
    schedule: Array.from({ length: 10 }, () => "2 seconds" as const),
    handle: Effect.fnUntraced(function* ({ order }, { key }) {
      const { paymentIntents } = yield* Stripe
      yield* Process.point("charging")
      const payload = {
        amount: 4200,
        currency: "eur",
        confirm: true,
        payment_method: "pm_card_visa",
        metadata: { order }
      }
      yield* paymentIntents.create({ payload }).pipe(Idempotency.withKey(key))
      yield* Process.point("charged")
      yield* mails.add({ order }, { key: `order/${order}/mail` })
      yield* Process.point("mail added")
    })
  })

/** The program of a process: places the orders, and works until all is done. It may be started again at any time. */
export const run = Effect.fnUntraced(function* (shop: Shop) {
  const { leaseMillis, orders, till } = shop
  const mails = mailsOf(shop)
  const charges = chargesOf(shop, mails)
  for (const order of orders) {
    // A customer orders once: what is placed and has no command is lost.
    if (yield* till.isPlaced(order)) continue
    yield* Process.point("ordering")
    yield* till.place(order, charges.add({ order }, { key: `order/${order}/charge`, orderingKey: "till" }))
    yield* Process.point("ordered")
  }
  const options = { concurrency: 1, batch: 2, lease: leaseMillis, pollEvery: 1000 }
  yield* Effect.forkScoped(charges.run(options))
  yield* Effect.forkScoped(mails.run(options))
  for (;;) {
    const [charged, mailed] = [yield* charges.counts, yield* mails.counts]
    if (charged.Done === orders.length && mailed.Done === orders.length) return
    if (charged.Dead + mailed.Dead > 0) return
    yield* Effect.sleep("1 second")
  }
}, Effect.scoped)

/** Orders in a table, in the transaction of the commands. */
export const inTable = Effect.fnUntraced(function* (table: string) {
  const sql = yield* SqlClient.SqlClient
  yield* sql`CREATE TABLE IF NOT EXISTS ${sql(table)} (id text PRIMARY KEY)`
  const place: Till["place"] = (order, commands) =>
    sql.withTransaction(
      Effect.gen(function* () {
        yield* sql`INSERT INTO ${sql(table)} (id) VALUES (${order}) ON CONFLICT DO NOTHING`
        yield* Process.point("in the transaction")
        yield* commands
        yield* Process.point("about to commit")
      })
    )
  const isPlaced = (order: string) =>
    Effect.map(sql`SELECT id FROM ${sql(table)} WHERE id = ${order}`, ({ length }) => length > 0)
  return { place, isPlaced } satisfies Till
})
