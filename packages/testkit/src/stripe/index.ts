/** A simulated Stripe. @since 0.1.0 */
export * as SimulatedStripe from "./Stripe.ts"
