/** Stripe: payments and refunds. @since 0.1.0 */
export * from "./Api.ts"
export * from "./Errors.ts"
export * from "./Model.ts"
export { Stripe } from "./Stripe.ts"
