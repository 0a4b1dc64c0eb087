/**
 * What the shop means by paying, in its own words: no vendor's type in sight. Providers are swapped by swapping the layer (SAFE-15, SYS-2).
 */
import { Context, Data, type Effect } from "effect"

export interface Order {
  readonly id: string
  readonly amountCents: number
  /** What the customer's card will do; known to the demo, not to the shop. */
  readonly card: "good" | "declined"
}

/** The bank said no: the customer must pay another way. */
export class Refused extends Data.TaggedError("Refused")<{ readonly reason: string }> {}

/** Not now. The order is kept, and charged with the same key when the provider is back. */
export class Postponed extends Data.TaggedError("Postponed")<{
  readonly retryAfterMillis: number
  readonly reason: string
}> {}

export class Payments extends Context.Service<
  Payments,
  {
    /** Charges an order once, however often it is called for it. */
    readonly charge: (order: Order) => Effect.Effect<void, Refused | Postponed>
  }
>()("@breakwater/examples/checkout/Payments") {}
