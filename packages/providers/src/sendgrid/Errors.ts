/**
 * What SendGrid's errors mean. It has no codes of errors: the field that it complains of stands in for one.
 * @see https://sendgrid.com/docs/API_Reference/Web_API_v3/Mail/errors.html (read 2026-11-21)
 * @see https://www.twilio.com/docs/sendgrid/api-reference/mail-send/errors (read 2026-11-21)
 * @since 0.1.0
 */
import type { ErrorTable } from "@breakwater/core/ErrorTable"
import * as Predicate from "effect/Predicate"

const property = (value: unknown, name: string): unknown =>
  Predicate.hasProperty(value, name) ? value[name] : undefined

/** The field of the request that the first error is about, such as `personalizations.0.to`; SendGrid says null where it is none. @category accessors @since 0.1.0 */
export const codeOf = (body: unknown): string | undefined => {
  const errors = property(body, "errors")
  const field = Array.isArray(errors) ? property(errors[0], "field") : undefined
  return Predicate.isString(field) && field !== "null" ? field : undefined
}

/**
 * What SendGrid's answers mean, where the status alone does not tell.
 * **Details** Of its failures only 429 is known to come before any work: a 5xx may have been given after the e-mail was queued, so it is in doubt.
 * @category constants @since 0.1.0
 */
export const errors: ErrorTable = {
  code: codeOf,
  // The request is at fault and always was: an earlier attempt that ended in doubt was refused for it too.
  rules: [{ status: [413, 415], means: "InvalidRequest" }]
}
