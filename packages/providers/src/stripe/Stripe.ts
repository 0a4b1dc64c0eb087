/**
 * Stripe as a service: payments and refunds with every protection. The README beside this file is for whoever operates it. @since 0.1.0
 */
import * as Auth from "@breakwater/core/Auth"
import * as CallPolicy from "@breakwater/core/CallPolicy"
import * as Client from "@breakwater/core/Client"
import * as Dialect from "@breakwater/core/Dialect"
import * as Provider from "@breakwater/core/Provider"
import * as Context from "effect/Context"
import { api } from "./Api.ts"
import { errors } from "./Errors.ts"

const baseUrl = "https://api.stripe.com"

/**
 * Stripe's declaration.
 * **Details** Sandbox and live mode share one address: the key decides, so a key of the wrong mode is refused before anything is sent. The version is that of
 * Stripe's own client 23.1. Limits: https://docs.stripe.com/rate-limits (read 2026-11-21).
 */
const provider = Provider.make("stripe", {
  api,
  environments: { sandbox: baseUrl, production: baseUrl },
  auth: Auth.bearer({ keys: { sandbox: /^(?:sk|rk)_test_/u, production: /^(?:sk|rk)_live_/u } }),
  version: { header: "Stripe-Version", value: "2026-10-28.endive" },
  errors,
  rate: { limit: { sandbox: 25, production: 100 }, window: "1 second" },
  dialect: Dialect.stripe,
  requestIdHeader: "request-id",
  policy: CallPolicy.charge,
  redaction: {
    fields: ["client_secret", "receipt_email", "payment_method_data"],
    patterns: [/\b(?:sk|rk)_(?:test|live)_\w+/gu, /\bpi_\w+_secret_\w+/gu]
  },
  probe: "paymentIntents.list"
})

/** Payments and refunds at Stripe. @category services @since 0.1.0 */
export class Stripe extends Context.Service<Stripe, Client.Of<typeof provider>>()(
  "@breakwater/providers/stripe/Stripe"
) {
  /** The declaration, for simulations, health and documents. */
  static readonly provider = provider

  /** With settings from code. Needs an `HttpClient`, such as `FetchHttpClient.layer`. */
  static readonly layer = (options: Client.LayerOptions) => Client.layer(Stripe, provider, options)

  /** With settings from `Config`: `STRIPE_API_KEY` (secret), and optionally `STRIPE_ENVIRONMENT` (default `sandbox`), `STRIPE_BASE_URL`, `STRIPE_DEADLINE`, … */
  static readonly layerConfig = (options?: Pick<Client.LayerOptions, "policy" | "userAgent">) =>
    Client.layerConfig(Stripe, provider, options)
}
