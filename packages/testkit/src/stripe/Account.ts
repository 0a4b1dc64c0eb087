/**
 * The state of a simulated Stripe account: payment intents and refunds, their lifecycles, and the ledger of the money that moved. Pure but for itself: time is given.
 * @see https://docs.stripe.com/payments/paymentintents/lifecycle (read 2026-11-21)
 * @since 0.1.0
 */
import type {
  CancelPaymentIntent,
  ConfirmPaymentIntent,
  CreatePaymentIntent,
  CreateRefund,
  PaymentIntent,
  Refund
} from "@breakwater/providers/stripe"
import * as Result from "effect/Result"
import type { Ledger } from "../Ledger.ts"
import type { CardOutcome } from "./Cards.ts"
import * as Cards from "./Cards.ts"
import type { Refusal } from "./Refusal.ts"
import * as Refusals from "./Refusal.ts"

/** A payment intent as it travels: what the declaration reads, and what Stripe sends beside it. @category models @since 0.1.0 */
export type IntentJson = typeof PaymentIntent.Encoded & {
  readonly allowed_payment_method_types: ReadonlyArray<string> | null
  readonly amount_capturable: number
  readonly automatic_payment_methods: unknown
  readonly capture_method: "automatic_async"
  readonly confirmation_method: "automatic"
  readonly next_action: unknown
  readonly payment_method_types: ReadonlyArray<string>
  readonly receipt_email: string | null
}

/** A refund as it travels. @category models @since 0.1.0 */
export type RefundJson = typeof Refund.Encoded & { readonly balance_transaction: string }

/** A page of a list as it travels. @category models @since 0.1.0 */
export interface ListJson<Item> {
  readonly object: "list"
  readonly data: ReadonlyArray<Item>
  readonly has_more: boolean
  readonly url: string
}

/** Who asks, and when. @category models @since 0.1.0 */
export interface Asked {
  /** Milliseconds since the epoch. */
  readonly now: number
  readonly operation: string
  readonly key: string | undefined
}

/** Which page. @category models @since 0.1.0 */
export interface Page {
  readonly limit?: number | undefined
  readonly starting_after?: string | undefined
  readonly ending_before?: string | undefined
  readonly "created[gte]"?: number | undefined
  readonly "created[lte]"?: number | undefined
}

type Outcome<A> = Result.Result<A, Refusal>

const confirmable = new Set(["requires_payment_method", "requires_confirmation", "requires_action"])
const cancelable = new Set([
  "requires_payment_method",
  "requires_capture",
  "requires_confirmation",
  "requires_action",
  "processing"
])

const inSeconds = (millis: number): number => Math.floor(millis / 1000)

/** @category models @since 0.1.0 */
export class Account {
  private readonly ledger: Ledger
  private readonly livemode: boolean
  private readonly intents = new Map<string, IntentJson>()
  private readonly refunds = new Map<string, RefundJson>()
  /** What was given back, by payment intent. */
  private readonly givenBack = new Map<string, number>()
  private made = 0

  constructor(options: { readonly ledger: Ledger; readonly livemode: boolean }) {
    this.ledger = options.ledger
    this.livemode = options.livemode
  }

  /** Ids of one length that sort as they were made. */
  nextId(prefix: string): string {
    return `${prefix}_3Sim${(this.made++).toString(36).toUpperCase().padStart(20, "0")}`
  }

  create(payload: typeof CreatePaymentIntent.Type, asked: Asked): Outcome<IntentJson> {
    const { payment_method: method } = payload
    const unknown = method === undefined ? undefined : unknownMethod(method)
    if (unknown !== undefined) return Result.fail(unknown)
    if (payload.confirm === true && method === undefined) {
      return Result.fail(
        Refusals.impossible("You must provide a payment method to confirm this PaymentIntent.", {
          code: "parameter_missing",
          param: "payment_method"
        })
      )
    }
    const intent = this.newIntent(payload, asked)
    this.keep(intent)
    return payload.confirm === true && method !== undefined ? this.pay(intent, method, asked) : Result.succeed(intent)
  }

  confirm(id: string, payload: typeof ConfirmPaymentIntent.Type, asked: Asked): Outcome<IntentJson> {
    const intent = this.intents.get(id)
    if (intent === undefined) return Result.fail(noIntent(id))
    if (!confirmable.has(intent.status)) {
      return Result.fail(
        Refusals.unexpectedState(
          `You cannot confirm this PaymentIntent because it has a status of ${intent.status}.`,
          intent
        )
      )
    }
    const method = payload.payment_method ?? intent.payment_method ?? undefined
    if (method === undefined) {
      return Result.fail(
        Refusals.unexpectedState("You cannot confirm this PaymentIntent because it's missing a payment method.", intent)
      )
    }
    const unknown = unknownMethod(method)
    return unknown === undefined ? this.pay(intent, method, asked) : Result.fail(unknown)
  }

  cancel(id: string, payload: typeof CancelPaymentIntent.Type, asked: Asked): Outcome<IntentJson> {
    const intent = this.intents.get(id)
    if (intent === undefined) return Result.fail(noIntent(id))
    if (!cancelable.has(intent.status)) {
      return Result.fail(
        Refusals.unexpectedState(
          `You cannot cancel this PaymentIntent because it has a status of ${intent.status}.`,
          intent
        )
      )
    }
    const canceled = this.keep({
      ...intent,
      status: "canceled",
      canceled_at: inSeconds(asked.now),
      cancellation_reason: payload.cancellation_reason ?? null,
      next_action: null
    })
    this.record("payment.canceled", canceled, asked)
    return Result.succeed(canceled)
  }

  retrieve(id: string): Outcome<IntentJson> {
    const intent = this.intents.get(id)
    return intent === undefined ? Result.fail(noIntent(id)) : Result.succeed(intent)
  }

  /** Newest first. */
  list(page: Page): Outcome<ListJson<IntentJson>> {
    const { "created[gte]": from = Number.NEGATIVE_INFINITY, "created[lte]": to = Number.POSITIVE_INFINITY } = page
    const newestFirst = [...this.intents.values()]
      .filter(({ created }) => created >= from && created <= to)
      .toReversed()
    const limit = page.limit ?? 10
    const cursor = page.starting_after ?? page.ending_before
    const at = cursor === undefined ? -1 : newestFirst.findIndex(({ id }) => id === cursor)
    if (cursor !== undefined && at === -1) {
      const param = page.starting_after === undefined ? "ending_before" : "starting_after"
      return Result.fail(Refusals.missing({ kind: "payment_intent", id: cursor, param, status: 400 }))
    }
    const backwards = page.starting_after === undefined && cursor !== undefined
    const first = backwards ? Math.max(0, at - limit) : at + 1
    const data = newestFirst.slice(first, backwards ? at : first + limit)
    const has_more = backwards ? first > 0 : first + limit < newestFirst.length
    return Result.succeed({ object: "list", data, has_more, url: "/v1/payment_intents" })
  }

  refund(payload: typeof CreateRefund.Type, asked: Asked): Outcome<RefundJson> {
    const intent = this.paidBy(payload)
    if (Result.isFailure(intent)) return Result.fail(intent.failure)
    const { amount, id } = intent.success
    const before = this.givenBack.get(id) ?? 0
    const left = amount - before
    if (left === 0) {
      return Result.fail(
        Refusals.impossible(`Charge ${intent.success.latest_charge ?? id} has already been refunded.`, {
          code: "charge_already_refunded"
        })
      )
    }
    const wanted = payload.amount ?? left
    if (wanted > left) {
      return Result.fail(
        Refusals.impossible(`Refund amount (${wanted}) is greater than unrefunded amount on charge (${left})`, {
          param: "amount"
        })
      )
    }
    this.givenBack.set(id, before + wanted)
    return Result.succeed(this.giveBack(intent.success, payload, wanted, asked))
  }

  retrieveRefund(id: string): Outcome<RefundJson> {
    const refund = this.refunds.get(id)
    return refund === undefined
      ? Result.fail(Refusals.missing({ kind: "refund", id, param: "id" }))
      : Result.succeed(refund)
  }

  private newIntent(payload: typeof CreatePaymentIntent.Type, asked: Asked): IntentJson {
    const id = this.nextId("pi")
    return {
      id,
      object: "payment_intent",
      allowed_payment_method_types: payload.allowed_payment_method_types ?? null,
      amount: payload.amount,
      amount_capturable: 0,
      amount_received: 0,
      automatic_payment_methods: payload.automatic_payment_methods ?? null,
      cancellation_reason: null,
      canceled_at: null,
      capture_method: "automatic_async",
      client_secret: `${id}_secret_${this.nextId("sim").slice(4)}`,
      confirmation_method: "automatic",
      created: inSeconds(asked.now),
      currency: payload.currency,
      customer: payload.customer ?? null,
      description: payload.description ?? null,
      last_payment_error: null,
      latest_charge: null,
      livemode: this.livemode,
      metadata: payload.metadata ?? {},
      next_action: null,
      payment_method: payload.payment_method ?? null,
      payment_method_types: payload.allowed_payment_method_types ?? ["card"],
      receipt_email: payload.receipt_email ?? null,
      status: payload.payment_method === undefined ? "requires_payment_method" : "requires_confirmation"
    }
  }

  /** Charges a payment method that exists. */
  private pay(intent: IntentJson, method: string, asked: Asked): Outcome<IntentJson> {
    const outcome = Cards.outcomeOf(method)
    if (outcome?._tag === "Declined") return Result.fail(this.decline(intent, outcome, asked))
    if (outcome?._tag === "NeedsAction") {
      const waiting = this.keep({
        ...intent,
        payment_method: method,
        status: "requires_action",
        next_action: { type: "use_stripe_sdk", use_stripe_sdk: {} }
      })
      this.record("payment.requires_action", waiting, asked)
      return Result.succeed(waiting)
    }
    const paid = this.keep({
      ...intent,
      payment_method: method,
      status: "succeeded",
      amount_received: intent.amount,
      latest_charge: this.nextId("ch"),
      last_payment_error: null,
      next_action: null
    })
    this.record("charge.succeeded", paid, asked)
    return Result.succeed(paid)
  }

  private decline(
    intent: IntentJson,
    { code, declineCode, message }: CardOutcome & { readonly _tag: "Declined" },
    asked: Asked
  ): Refusal {
    const charge = this.nextId("ch")
    const refused = this.keep({
      ...intent,
      payment_method: null,
      status: "requires_payment_method",
      latest_charge: charge,
      last_payment_error: { type: "card_error", code, decline_code: declineCode, message, charge },
      next_action: null
    })
    this.record("charge.declined", refused, asked)
    return Refusals.declined({ code, decline_code: declineCode, message, charge, payment_intent: refused })
  }

  /** The paid intent that a refund is for. */
  private paidBy(payload: typeof CreateRefund.Type): Outcome<IntentJson> {
    const { charge, payment_intent: id } = payload
    const intent =
      id === undefined
        ? [...this.intents.values()].find(({ latest_charge: latest }) => latest === charge)
        : this.intents.get(id)
    if (intent === undefined) {
      return Result.fail(
        id === undefined
          ? Refusals.missing({ kind: "charge", id: charge ?? "", param: "charge" })
          : noIntent(id, "payment_intent")
      )
    }
    return intent.status === "succeeded"
      ? Result.succeed(intent)
      : Result.fail(
          Refusals.impossible(`This PaymentIntent (${intent.id}) does not have a successful charge to refund.`, {
            param: "payment_intent"
          })
        )
  }

  private giveBack(intent: IntentJson, payload: typeof CreateRefund.Type, amount: number, asked: Asked): RefundJson {
    const refund: RefundJson = {
      id: this.nextId("re"),
      object: "refund",
      amount,
      balance_transaction: this.nextId("txn"),
      charge: intent.latest_charge ?? null,
      created: inSeconds(asked.now),
      currency: intent.currency,
      metadata: payload.metadata ?? {},
      payment_intent: intent.id,
      reason: payload.reason ?? null,
      status: "succeeded"
    }
    this.refunds.set(refund.id, refund)
    this.record("refund.succeeded", intent, asked, { amount, refund: refund.id })
    return refund
  }

  private keep(intent: IntentJson): IntentJson {
    this.intents.set(intent.id, intent)
    return intent
  }

  private record(
    kind: string,
    intent: IntentJson,
    { key, now, operation }: Asked,
    refund?: { readonly amount: number; readonly refund: string }
  ): void {
    const charge = intent.latest_charge ?? undefined
    this.ledger.record({
      at: now,
      operation,
      kind,
      key,
      amount: refund?.amount ?? intent.amount,
      currency: intent.currency,
      ids: {
        payment_intent: intent.id,
        ...(charge === undefined ? {} : { charge }),
        ...(refund === undefined ? {} : { refund: refund.refund })
      },
      metadata: intent.metadata ?? {}
    })
  }
}

const noIntent = (id: string, param = "intent"): Refusal => Refusals.missing({ kind: "payment_intent", id, param })

const unknownMethod = (method: string): Refusal | undefined =>
  Cards.outcomeOf(method) === undefined
    ? Refusals.missing({ kind: "PaymentMethod", id: method, param: "payment_method", status: 400 })
    : undefined
