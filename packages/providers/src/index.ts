/** Every provider that is declared; each is also an import path of its own, such as `@breakwater/providers/stripe`. @since 0.1.0 */
export * as sendgrid from "./sendgrid/index.ts"
export * as stripe from "./stripe/index.ts"
