/**
 * Stripe's errors as it words them.
 * @see https://docs.stripe.com/api/errors (read 2026-11-21)
 * @see https://docs.stripe.com/error-low-level (read 2026-11-21)
 * @since 0.1.0
 */
import type { Answer, Received } from "../Exchange.ts"
import * as Exchanges from "../Exchange.ts"
import type { Problem, Words } from "../SimulatedProvider.ts"

/** An error with its status. @category models @since 0.1.0 */
export interface Refusal {
  readonly status: number
  readonly error: {
    readonly type: "api_error" | "card_error" | "idempotency_error" | "invalid_request_error"
    readonly message: string
    readonly code?: string | undefined
    readonly decline_code?: string | undefined
    readonly param?: string | undefined
    readonly charge?: string | undefined
    readonly payment_intent?: unknown
  }
}

const documented = (code: string | undefined) =>
  code === undefined ? {} : { doc_url: `https://stripe.com/docs/error-codes/${code.replaceAll("_", "-")}` }

/** The body of the error, as JSON. @category conversions @since 0.1.0 */
export const bodyOf = ({ error }: Refusal): unknown => ({ error: { ...error, ...documented(error.code) } })

/** The error as an answer for which no endpoint worked. @category conversions @since 0.1.0 */
export const toAnswer = (refusal: Refusal, headers?: Readonly<Record<string, string>>): Answer =>
  Exchanges.json(refusal.status, bodyOf(refusal), headers)

const invalidRequest = (
  status: number,
  message: string,
  rest?: Pick<Refusal["error"], "code" | "param" | "payment_intent">
): Refusal => ({
  status,
  error: { type: "invalid_request_error", message, ...rest }
})

/** An object that is not there: 404 in a path, 400 in a parameter. @category constructors @since 0.1.0 */
export const missing = (options: {
  readonly kind: string
  readonly id: string
  readonly param: string
  readonly status?: number
}): Refusal =>
  invalidRequest(options.status ?? 404, `No such ${options.kind}: '${options.id}'`, {
    code: "resource_missing",
    param: options.param
  })

/** The state of a payment intent does not allow what was asked. @category constructors @since 0.1.0 */
export const unexpectedState = (message: string, paymentIntent: unknown): Refusal =>
  invalidRequest(400, message, { code: "payment_intent_unexpected_state", payment_intent: paymentIntent })

/** A parameter that is well-formed and cannot be met. @category constructors @since 0.1.0 */
export const impossible = (message: string, rest?: Pick<Refusal["error"], "code" | "param">): Refusal =>
  invalidRequest(400, message, rest)

/** The card was refused. @category constructors @since 0.1.0 */
export const declined = (error: Omit<Refusal["error"], "type">): Refusal => ({
  status: 402,
  error: { type: "card_error", ...error }
})

/** No key, or the wrong one. @category constructors @since 0.1.0 */
export const unauthorized = (key: string | undefined): Refusal =>
  invalidRequest(
    401,
    key === undefined
      ? "You did not provide an API key."
      : `Invalid API Key provided: ${key.slice(0, 8)}********${key.slice(-4)}`
  )

/** A key that belongs to another request. @category constructors @since 0.1.0 */
export const keyMismatch = (key: string): Refusal => ({
  status: 400,
  error: {
    type: "idempotency_error",
    message: `Keys for idempotent requests can only be used with the same parameters they were first used with. Try using a key other than '${key}' if you meant to execute a different request.`
  }
})

/** A key whose request is under way. @category constructors @since 0.1.0 */
export const keyInUse = (key: string): Refusal => ({
  status: 409,
  error: {
    type: "idempotency_error",
    code: "idempotency_key_in_use",
    message: `There is currently another in-progress request using this Idempotent Key (that probably means you submitted twice, and the other request is still going through): ${key}. Please try again later.`
  }
})

/** A key of more than 255 characters. @category constructors @since 0.1.0 */
export const keyTooLong: Refusal = invalidRequest(400, "Idempotency keys must be 255 characters or less.")

/** More requests than the account may send. @category constructors @since 0.1.0 */
export const rateLimited: Refusal = invalidRequest(
  429,
  "Request rate limit exceeded. You can learn more about rate limits here https://docs.stripe.com/rate-limits.",
  { code: "rate_limit" }
)

/** What a 429 of the rate carries beside it; a lock on an object has none. @category constants @since 0.1.0 */
export const rateHeaders = { "stripe-rate-limited-reason": "global-rate" } as const

const invalidCodes: ReadonlyArray<readonly [pattern: RegExp, code: string]> = [
  [/integer|number|between|greater/iu, "parameter_invalid_integer"],
  [/start|letters|pattern/iu, "parameter_invalid_string_format"]
]

/** `metadata.order` as Stripe names it: `metadata[order]`. */
const paramOf = (field: string): string =>
  field.split(".").reduce((name, part, index) => (index === 0 ? part : `${name}[${part}]`), "")

const invalidParameter = (problem: Problem): Refusal => {
  const param = paramOf(problem.field)
  if (problem.missing)
    return invalidRequest(400, `Missing required param: ${param}.`, { code: "parameter_missing", param })
  const code = invalidCodes.find(([pattern]) => pattern.test(problem.expected))?.[1] ?? "parameter_unknown"
  return invalidRequest(400, `Invalid ${param}: must be ${problem.expected}`, { code, param })
}

/** An id in the path that no object of its kind has: `/v1/refunds/<id>`, `/v1/payment_intents/<id>/confirm`. */
const malformedId = (request: Received): Refusal => {
  const [, , kinds = "", id = ""] = Exchanges.path(request).split("/")
  return missing({ kind: kinds.replace(/s$/u, ""), id, param: "id" })
}

const failure = (status: number): Refusal => {
  if (status === 429) return rateLimited
  if (status >= 500)
    return {
      status,
      error: {
        type: "api_error",
        message: "Sorry! There was an error while talking to Stripe. Please let us know at support@stripe.com."
      }
    }
  return invalidRequest(status, `The request failed with status ${status}.`)
}

/** @category constants @since 0.1.0 */
export const words: Words = {
  invalid: (problem, request) =>
    toAnswer(problem.place === "params" ? malformedId(request) : invalidParameter(problem)),
  unknownPath: (request) =>
    toAnswer(invalidRequest(404, `Unrecognized request URL (${request.method}: ${Exchanges.path(request)}).`)),
  failure: (status) => toAnswer(failure(status), status === 429 ? rateHeaders : undefined)
}
