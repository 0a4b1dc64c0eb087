/**
 * What becomes of an e-mail at its recipient. SendGrid has no addresses for tests, so these are the simulation's own: the part before the @ decides.
 * Reasons and types as https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/event (read 2026-11-21) has them. @since 0.1.0
 */

/** @category models @since 0.1.0 */
export type Fate =
  | { readonly _tag: "Delivered"; readonly response: string }
  /** Refused by the recipient's server; `blocked` is for now, `bounce` for good. */
  | { readonly _tag: "Bounced"; readonly type: "bounce" | "blocked"; readonly reason: string; readonly status: string }
  /** Never tried: the address is on one of SendGrid's lists. */
  | { readonly _tag: "Dropped"; readonly reason: string }

const delivered: Fate = { _tag: "Delivered", response: "250 OK" }

const fates: ReadonlyArray<readonly [begins: string, fate: Fate]> = [
  ["bounced", { _tag: "Bounced", type: "bounce", reason: "550 5.1.1 User unknown", status: "5.1.1" }],
  ["blocked", { _tag: "Bounced", type: "blocked", reason: "450 4.7.1 Try again later", status: "4.7.1" }],
  ["dropped", { _tag: "Dropped", reason: "Bounced Address" }]
]

/** Addresses that begin with `bounced`, `blocked` or `dropped` fare so; all others are delivered to. @category accessors @since 0.1.0 */
export const fateOf = (email: string): Fate => fates.find(([begins]) => email.startsWith(begins))?.[1] ?? delivered
