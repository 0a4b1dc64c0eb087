/**
 * SendGrid's errors as it words them.
 * @see https://www.twilio.com/docs/sendgrid/api-reference/mail-send/errors (read 2026-11-21)
 * @see https://github.com/twilio/sendgrid-oai (read 2026-11-21)
 * @since 0.1.0
 */
import type { Answer } from "../Exchange.ts"
import * as Exchanges from "../Exchange.ts"
import type { Problem, Words } from "../SimulatedProvider.ts"

/** An error with its status. @category models @since 0.1.0 */
export interface Refusal {
  readonly status: number
  readonly message: string
  readonly field: string | null
  readonly help: string | null
}

const refusal = (status: number, message: string, field: string | null = null, anchor?: string): Refusal => ({
  status,
  message,
  field,
  help: anchor === undefined ? null : `http://sendgrid.com/docs/API_Reference/Web_API_v3/Mail/errors.html#${anchor}`
})

/** The body of the error, as JSON. @category conversions @since 0.1.0 */
export const bodyOf = ({ field, help, message }: Refusal): unknown => ({ errors: [{ message, field, help }] })

/** The error as an answer for which no endpoint worked. @category conversions @since 0.1.0 */
export const toAnswer = (refused: Refusal): Answer => Exchanges.json(refused.status, bodyOf(refused))

/** No key, or the wrong one. @category constructors @since 0.1.0 */
export const unauthorized = (key: string | undefined): Refusal =>
  refusal(
    401,
    key === undefined ? "authorization required" : "The provided authorization grant is invalid, expired, or revoked"
  )

/** The key may not do this, or the account has not bought it. @category constants @since 0.1.0 */
export const forbidden: Refusal = refusal(403, "access forbidden")

/** The sender was not verified. @category constants @since 0.1.0 */
export const unverified: Refusal = refusal(
  403,
  "The from address does not match a verified Sender Identity. Mail cannot be sent until this error is resolved. Visit https://sendgrid.com/docs/for-developers/sending-email/sender-identity/ to see the Sender Identity requirements",
  "from"
)

/** @category constants @since 0.1.0 */
export const tooLarge: Refusal = refusal(413, "content too large")

/** More requests than the endpoint takes. @category constants @since 0.1.0 */
export const rateLimited: Refusal = refusal(429, "too many requests")

/** A query that cannot be read. @category constructors @since 0.1.0 */
export const badQuery = (message: string): Refusal => refusal(400, message, "query")

const from =
  'The from object must be provided for every email send. It is an object that requires the email parameter, but may also contain a name parameter.  e.g. {"email" : "example@example.com"}  or {"email" : "example@example.com", "name" : "Example Recipient"}.'

interface Wording {
  /** Of the field, as the declaration names it. */
  readonly field: RegExp
  readonly missing?: boolean
  readonly message: string
  readonly anchor: string
}

/** Each field's own words, the first that fits. */
const wordings: ReadonlyArray<Wording> = [
  { field: /^from(?:\.email)?$/u, missing: true, message: from, anchor: "message.from" },
  {
    field: /^personalizations$/u,
    missing: true,
    message: "The personalizations field is required and must have at least one personalization.",
    anchor: "-Personalizations-Errors"
  },
  {
    field: /^personalizations\.\d+\.to$/u,
    missing: true,
    message:
      "The to array is required for all personalization objects, and must have at least one email object with a valid email address.",
    anchor: "message.personalizations.to"
  },
  {
    field: /^personalizations$/u,
    message: "There is a limit of 1000 total recipients (to + cc + bcc) per request.",
    anchor: "-Personalizations-Errors"
  },
  {
    field: /^personalizations\.\d+\.to$/u,
    message: "Each email address in the personalization block should be unique between to, cc, and bcc.",
    anchor: "message.recipient-errors"
  },
  { field: /\.email$/u, message: "Does not contain a valid address.", anchor: "message.personalizations.to" },
  {
    field: /^subject$/u,
    message:
      "The subject is required. You can get around this requirement if you use a template with a subject defined or if every personalization has a subject defined.",
    anchor: "message.subject"
  },
  {
    field: /^content\.\d+\.value$/u,
    message: "The content value must be a string at least one character in length.",
    anchor: "message.content.value"
  },
  {
    field: /^content$/u,
    message:
      "Unless a valid template_id is provided, the content parameter is required. There must be at least one defined content block. We typically suggest both text/plain and text/html blocks are included, but only one block is required.",
    anchor: "message.content"
  },
  {
    field: /sandbox_mode\.enable$/u,
    message: "The sandbox mode enable param should be a boolean value.",
    anchor: "message.mail_settings.sandbox_mode"
  },
  {
    field: /custom_args$/u,
    message: "The length of all custom args must be less than 10,000 bytes.",
    anchor: "message.custom_args"
  }
]

const invalid = ({ expected, field, missing, place }: Problem): Refusal => {
  if (place === "query") return badQuery(missing ? `${field} is required` : `${field} must be ${expected}`)
  // A missing first item is a list without items.
  const named = field.replace(/(?<=^personalizations|\.to|^content)\.0$/u, "")
  const words = wordings.find((each) => each.field.test(named) && (each.missing ?? missing) === missing)
  return words === undefined
    ? refusal(400, missing ? `${named} is required` : "Bad Request", named === "" ? null : named)
    : refusal(400, words.message, words.field.source.startsWith("^from") ? "from.email" : named, words.anchor)
}

const failures: { readonly [status: number]: string } = {
  401: "authorization required",
  403: "access forbidden",
  404: "not found",
  405: "method not allowed",
  413: "content too large",
  429: "too many requests",
  500: "internal server error",
  503: "service unavailable"
}

/** @category constants @since 0.1.0 */
export const words: Words = {
  invalid: (problem) => toAnswer(invalid(problem)),
  unknownPath: () => toAnswer(refusal(404, "not found")),
  failure: (status) => toAnswer(refusal(status, failures[status] ?? `The request failed with status ${status}.`))
}
