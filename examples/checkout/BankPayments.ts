/** `Payments` over a bank of thirty lines, which loses answers: any effect is protected, not only HTTP (`--provider bank`). */
import { Call, Idempotency } from "@breakwater/core"
import * as EffectAttempt from "@breakwater/core/EffectAttempt"
import { Data, Effect, Layer, Random } from "effect"
import { type Order, Payments, Postponed, Refused } from "./Payments.ts"
import type { CountedBooks } from "./Verdict.ts"

class BankError extends Data.TaggedError("BankError")<{ readonly code: "NO_FUNDS" | "TIMEOUT" }> {}

/** Books a transfer once a reference; now and then its answer is lost after it was booked. */
const transfer = (books: CountedBooks, order: Order) =>
  Effect.gen(function* () {
    books.attempts++
    const reference = (yield* EffectAttempt.currentKey) ?? order.id
    if (order.card === "declined") return yield* new BankError({ code: "NO_FUNDS" })
    if (!books.charges.some((charge) => charge.key === reference))
      books.charges.push({ order: order.id, key: reference })
    if ((yield* Random.next) < 0.05) return yield* new BankError({ code: "TIMEOUT" })
  })

export const layer = (books: CountedBooks) =>
  Layer.effect(
    Payments,
    Effect.map(Call.connect({ provider: "bank", policy: { backoff: { base: "50 millis" } } }), (bank) =>
      Payments.of({
        charge: (order) =>
          Call.protect(transfer(books, order), {
            provider: bank,
            operation: "transfer",
            safety: "keyed",
            classify: (error) => (error.code === "TIMEOUT" ? { sent: "unknown" } : undefined)
          }).pipe(
            Idempotency.withKey(`order/${order.id}/charge`),
            Effect.mapError((error) =>
              error._tag === "BankError"
                ? new Refused({ reason: error.code })
                : new Postponed({ retryAfterMillis: 250, reason: error.message })
            )
          )
      })
    )
  )
