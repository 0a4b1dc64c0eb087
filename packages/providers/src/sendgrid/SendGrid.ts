/**
 * SendGrid as a service: e-mails with every protection that there is without idempotency keys. The README beside this file is for whoever operates it. @since 0.1.0
 */
import * as Auth from "@breakwater/core/Auth"
import * as CallPolicy from "@breakwater/core/CallPolicy"
import * as Client from "@breakwater/core/Client"
import * as Provider from "@breakwater/core/Provider"
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { api } from "./Api.ts"
import { errors } from "./Errors.ts"

/**
 * Where SendGrid answers: `eu` for subusers whose data stays in the European Union; their keys work nowhere else.
 * @see https://github.com/twilio/sendgrid-oai (read 2026-11-21)
 * @category constants
 * @since 0.1.0
 */
export const regions = { global: "https://api.sendgrid.com", eu: "https://api.eu.sendgrid.com" } as const

/**
 * SendGrid's declaration.
 * **Details** It has one address and one kind of key for everything, so that nothing tells a key of the sandbox from another. It publishes no limits; what its answers say of them is
 * learned. https://www.twilio.com/docs/sendgrid/api-reference/how-to-use-the-sendgrid-v3-api/rate-limits (read 2026-11-21).
 */
const provider = Provider.make("sendgrid", {
  api,
  environments: { sandbox: regions.global, production: regions.global },
  auth: Auth.bearer(),
  errors,
  requestIdHeader: "x-message-id",
  policy: CallPolicy.email,
  redaction: {
    fields: ["name", "subject", "value", "content", "filename", "to", "cc", "bcc", "from"],
    patterns: [/\bSG\.[\w-]{6,}(?:\.[\w-]+)?/gu]
  },
  probe: "scopes.list"
})

/** The client as it is in the sandbox: whatever a request says, it is checked and not sent. */
const checksOnly = (client: Client.Of<typeof provider>): Client.Of<typeof provider> => ({
  ...client,
  mail: {
    send: ({ payload }) =>
      client.mail.send({
        payload: { ...payload, mail_settings: { ...payload.mail_settings, sandbox_mode: { enable: true } } }
      })
  }
})

/** E-mails by SendGrid. @category services @since 0.1.0 */
export class SendGrid extends Context.Service<SendGrid, Client.Of<typeof provider>>()(
  "@breakwater/providers/sendgrid/SendGrid"
) {
  /** The declaration, for simulations, health and documents. */
  static readonly provider = provider

  /**
   * With settings from code. Needs an `HttpClient`, such as `FetchHttpClient.layer`. In the sandbox, which is the default, every e-mail is sent in SendGrid's sandbox mode, so that none
   * goes out, whichever key is used.
   */
  static readonly layer = (options: Client.LayerOptions) => {
    const live = Client.layer(SendGrid, provider, options)
    return options.environment === "production" ? live : sandboxed(live)
  }

  /** With settings from `Config`: `SENDGRID_API_KEY` (secret), and optionally `SENDGRID_ENVIRONMENT` (default `sandbox`), `SENDGRID_BASE_URL`, `SENDGRID_DEADLINE`, … */
  static readonly layerConfig = (options?: Pick<Client.LayerOptions, "policy" | "userAgent">) =>
    Layer.unwrap(
      Effect.map(environment, (where) => {
        const live = Client.layerConfig(SendGrid, provider, options)
        return where === "production" ? live : sandboxed(live)
      })
    )
}

const environment = Config.withDefault(
  Config.Literals(["sandbox", "production"], "SENDGRID_ENVIRONMENT"),
  "sandbox" as const
)

const sandboxed = <E, R>(live: Layer.Layer<SendGrid, E, R>): Layer.Layer<SendGrid, E, R> =>
  Layer.effect(SendGrid, Effect.map(SendGrid, checksOnly)).pipe(Layer.provide(live))
