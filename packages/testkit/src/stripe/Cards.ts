/**
 * What Stripe's test payment methods do when they are charged.
 * @see https://docs.stripe.com/testing (read 2026-11-21)
 * @since 0.1.0
 */

/** @category models @since 0.1.0 */
export type CardOutcome =
  | { readonly _tag: "Succeeds" }
  | { readonly _tag: "Declined"; readonly code: string; readonly declineCode: string; readonly message: string }
  | { readonly _tag: "NeedsAction" }

const succeeds: CardOutcome = { _tag: "Succeeds" }

const declined = (declineCode: string, message: string, code = "card_declined"): CardOutcome => ({
  _tag: "Declined",
  code,
  declineCode,
  message
})

const outcomes: ReadonlyMap<string, CardOutcome> = new Map([
  ["pm_card_visa", succeeds],
  ["pm_card_visa_debit", succeeds],
  ["pm_card_mastercard", succeeds],
  ["pm_card_amex", succeeds],
  ["pm_card_visa_chargeDeclined", declined("generic_decline", "Your card was declined.")],
  ["pm_card_chargeDeclined", declined("generic_decline", "Your card was declined.")],
  ["pm_card_chargeDeclinedInsufficientFunds", declined("insufficient_funds", "Your card has insufficient funds.")],
  ["pm_card_visa_chargeDeclinedInsufficientFunds", declined("insufficient_funds", "Your card has insufficient funds.")],
  ["pm_card_chargeDeclinedExpiredCard", declined("expired_card", "Your card has expired.", "expired_card")],
  [
    "pm_card_chargeDeclinedIncorrectCvc",
    declined("incorrect_cvc", "Your card's security code is incorrect.", "incorrect_cvc")
  ],
  ["pm_card_chargeDeclinedFraudulent", declined("fraudulent", "Your card was declined.")],
  ["pm_card_authenticationRequired", { _tag: "NeedsAction" }]
])

/** What charging a payment method comes to; `undefined` if there is no such payment method. @category accessors @since 0.1.0 */
export const outcomeOf = (paymentMethod: string): CardOutcome | undefined => outcomes.get(paymentMethod)
