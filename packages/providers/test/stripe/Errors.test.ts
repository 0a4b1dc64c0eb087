import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { Headers } from "effect/http"
import * as ErrorTable from "@breakwater/core/ErrorTable"
import { CardError, CardErrorAnswer, PaymentIntentId, errors } from "@breakwater/providers/stripe"

interface Case {
  readonly status: number
  readonly error: Record<string, unknown>
  readonly headers?: Record<string, string>
  readonly means: ErrorTable.Meaning
}

const cases: ReadonlyArray<Case> = [
  { status: 409, error: { type: "idempotency_error", code: "idempotency_key_in_use" }, means: "Locked" },
  { status: 409, error: { type: "invalid_request_error", code: "idempotency_key_in_use" }, means: "Locked" },
  { status: 409, error: { type: "invalid_request_error" }, means: "Conflict" },
  { status: 400, error: { type: "idempotency_error" }, means: "IdempotencyMismatch" },
  { status: 400, error: { type: "invalid_request_error", code: "parameter_missing" }, means: "InvalidRequest" },
  { status: 400, error: { type: "invalid_request_error", code: "rate_limit" }, means: "RateLimited" },
  { status: 429, error: { type: "invalid_request_error", code: "rate_limit" }, means: "RateLimited" },
  { status: 429, error: { type: "invalid_request_error", code: "lock_timeout" }, means: "Locked" },
  { status: 429, error: {}, means: "RateLimited" },
  { status: 401, error: { type: "invalid_request_error" }, means: "Unauthorized" },
  { status: 401, error: { type: "invalid_request_error", code: "api_key_expired" }, means: "Unauthorized" },
  { status: 403, error: { type: "invalid_request_error" }, means: "PermissionDenied" },
  { status: 404, error: { type: "invalid_request_error", code: "resource_missing" }, means: "NotFound" },
  { status: 400, error: { type: "invalid_request_error", code: "payment_intent_unexpected_state" }, means: "Conflict" },
  { status: 500, error: { type: "api_error" }, means: "Unavailable" },
  { status: 500, error: { type: "api_error" }, headers: { "stripe-should-retry": "false" }, means: "Rejected" },
  {
    status: 400,
    error: { type: "invalid_request_error" },
    headers: { "stripe-should-retry": "true" },
    means: "Unavailable"
  }
]

describe("errors", () => {
  for (const { error, headers = {}, means, status } of cases) {
    it(`${status} ${JSON.stringify(error)} ${JSON.stringify(headers)} means ${means} (SAFE-11)`, () => {
      const verdict = ErrorTable.read(errors, { status, headers: Headers.fromInput(headers), body: { error } })

      assert.strictEqual(verdict.means, means)
      assert.strictEqual(verdict.code, (error["code"] ?? error["type"]) as string | undefined)
    })
  }

  it("reads no code out of what is not an error of Stripe's", () => {
    for (const body of [undefined, null, "text", 1, {}, { error: null }, { error: "text" }, { error: { code: 7 } }]) {
      assert.isUndefined(errors.code?.(body))
    }
  })
})

describe("CardErrorAnswer", () => {
  const decode = Schema.decodeUnknownSync(CardErrorAnswer)

  it("reads a decline, with all that Stripe sends beside it", () => {
    const error = decode({
      error: {
        type: "card_error",
        code: "card_declined",
        decline_code: "insufficient_funds",
        message: "Your card has insufficient funds.",
        charge: "ch_1",
        doc_url: "https://stripe.com/docs/error-codes/card-declined",
        payment_intent: { id: "pi_1", object: "payment_intent", client_secret: "pi_1_secret_2" }
      }
    })

    assert(error instanceof CardError)
    assert.strictEqual(error.message, "card refused: card_declined (insufficient_funds)")
    assert.deepStrictEqual(
      [error.code, error.declineCode, error.customerMessage, error.charge, error.paymentIntent],
      ["card_declined", "insufficient_funds", "Your card has insufficient funds.", "ch_1", "pi_1"]
    )
    assert.notInclude(JSON.stringify(error), "secret")
  })

  it("reads the least that Stripe may send", () => {
    const error = decode({ error: { type: "card_error", code: null, decline_code: null, payment_intent: null } })

    assert.deepStrictEqual(
      [error.code, error.declineCode, error.message],
      ["card_error", undefined, "card refused: card_error"]
    )
    assert.throws(() => decode({ error: {} }))
    assert.throws(() => decode({}))
  })

  it("writes what it reads", () => {
    const error = new CardError({
      code: "expired_card",
      declineCode: "expired_card",
      paymentIntent: PaymentIntentId.make("pi_1")
    })

    assert.deepStrictEqual(decode(Schema.encodeSync(CardErrorAnswer)(error)), error)
  })
})
