/**
 * Reads what an HTTP attempt came to: an answer by the declaration and the error table, a failure of the transport by its code. Everything that stays of it in an error
 * is sanitised here. @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Predicate from "effect/Predicate"
import * as Dialect from "../definition/Dialect.ts"
import type { Verdict } from "../definition/ErrorTable.ts"
import * as ErrorTable from "../definition/ErrorTable.ts"
import { BodyTooLarge } from "../transport/BodyRead.ts"
import { BufferedResponse } from "../transport/BufferedResponse.ts"
import type { AttemptFailure } from "../vocabulary/AttemptFailure.ts"
import { refusal, unanswered } from "../vocabulary/AttemptFailure.ts"
import * as Fatal from "../vocabulary/FatalReason.ts"
import { HttpClientError } from "../vocabulary/Platform.ts"
import { failureCode, safeCause } from "../vocabulary/Redaction.ts"
import * as RetryHint from "../vocabulary/RetryHint.ts"
import * as Retryable from "../vocabulary/RetryableReason.ts"
import type { RunningCall } from "./RunningCall.ts"

const duration = (millis: number | undefined): Duration.Duration | undefined =>
  millis === undefined ? undefined : Duration.millis(millis)

/** The class of each final meaning. */
const fatals = {
  InvalidRequest: Fatal.InvalidRequest,
  Unauthorized: Fatal.Unauthorized,
  PermissionDenied: Fatal.PermissionDenied,
  NotFound: Fatal.NotFound,
  Conflict: Fatal.Conflict,
  QuotaExhausted: Fatal.QuotaExhausted,
  IdempotencyMismatch: Fatal.IdempotencyMismatch,
  Rejected: Fatal.Rejected
}

const reasonOf = (
  verdict: Verdict,
  status: number,
  hintMillis: number | undefined
): Retryable.RetryableReason | Fatal.FatalReason => {
  const answer = { status, code: verdict.code }
  switch (verdict.means) {
    case "RateLimited":
      return new Retryable.RateLimited({ ...answer, by: "provider", retryAfter: duration(hintMillis) })
    case "Unavailable":
      return new Retryable.Unavailable({ ...answer, problem: "status", retryAfter: duration(hintMillis) })
    case "Locked":
      return new Retryable.Locked({ ...answer, retryAfter: duration(hintMillis) })
    default:
      return new fatals[verdict.means](answer)
  }
}

/** What every answer tells beside its outcome: the quota that is left, and a wait that binds all calls of the connection. */
const learn = (call: RunningCall, response: BufferedResponse, now: number): void => {
  const quota = Dialect.quota(response.headers, now)
  if (quota !== undefined) call.connection.rate.learn(quota, now)
}

const failureOf = (
  call: RunningCall,
  response: BufferedResponse,
  now: number,
  parts: Pick<AttemptFailure, "reason" | "sent" | "unhealthy">
): AttemptFailure => {
  const replayed = call.operation.keys?.replayedHeader
  return {
    ...parts,
    hintMillis: RetryHint.fromHeaders(response.headers, now),
    replayed: replayed !== undefined && response.headers[replayed.toLowerCase()] === "true",
    status: response.status,
    requestId: response.headers[call.connection.requestIdHeader]?.slice(0, 128),
    excerpt: response.bytes.length === 0 ? undefined : call.connection.options.redaction.body(response.content),
    cause: undefined
  }
}

/** A resent DELETE that meets "not found" has done its work: the first one did it, and its answer was lost. */
const isLostDelete = (call: RunningCall, status: number): boolean =>
  call.operation.method === "DELETE" &&
  call.maybeDone &&
  (status === 404 || status === 410) &&
  (call.operation.declared?.emptySuccess ?? true)

const asDeleted = (call: RunningCall, response: BufferedResponse): void => {
  call.answer = new BufferedResponse(response.request, { status: 204, headers: response.headers }, new Uint8Array(0))
}

const ofFailedStatus = (call: RunningCall, response: BufferedResponse, now: number): AttemptFailure | undefined => {
  const { status } = response
  const parsed = response.parsed
  const verdict = ErrorTable.read(call.connection.errors, {
    status,
    headers: response.headers,
    body: parsed._tag === "Json" ? parsed.value : undefined
  })
  if (!verdict.explicit && parsed._tag === "Json" && call.operation.declared?.error.has(status) === true)
    return undefined
  if (isLostDelete(call, status)) {
    asDeleted(call, response)
    return undefined
  }
  const hintMillis = RetryHint.fromHeaders(response.headers, now)
  const reason = reasonOf(verdict, status, hintMillis)
  if (reason._tag === "RateLimited" && hintMillis !== undefined)
    call.connection.rate.block(Math.min(hintMillis, call.policy.hintCapMillis), now)
  const sent = Fatal.isFatalReason(reason) || verdict.refusedBeforeWork ? "refused" : "unknown"
  return failureOf(call, response, now, { reason, sent, unhealthy: reason._tag === "Unavailable" })
}

const ofSuccessStatus = (call: RunningCall, response: BufferedResponse, now: number): AttemptFailure | undefined => {
  const { declared } = call.operation
  if (declared === undefined) return undefined
  const { status } = response
  const body = declared.success.get(status)
  if (body === undefined) {
    const expected = `status ${[...declared.success.keys()].join(" or ")}`
    return failureOf(call, response, now, {
      reason: new Fatal.ResponseInvalid({ status, path: "", expected }),
      sent: "refused",
      unhealthy: false
    })
  }
  if (body !== "json" || response.parsed._tag === "Json") return undefined
  const problem = response.parsed._tag === "Empty" ? "empty body" : "not JSON"
  return failureOf(call, response, now, {
    reason: new Retryable.Unavailable({ status, problem }),
    sent: "unknown",
    unhealthy: true
  })
}

/** What an answer came to: a failure, or `undefined` when it is the call's outcome, kept as `call.answer`. @category classification @since 0.1.0 */
export const ofResponse = (call: RunningCall, response: BufferedResponse, now: number): AttemptFailure | undefined => {
  call.answer = response
  learn(call, response, now)
  if (response.status >= 200 && response.status < 300) return ofSuccessStatus(call, response, now)
  if (response.status === 304 && call.operation.declared === undefined) return undefined
  return ofFailedStatus(call, response, now)
}

/** Codes of failures in which no request reached the provider: no name, no connection, no TLS. */
const notSent =
  /^(?:ENOTFOUND|EAI_AGAIN|EAI_NODATA|EAI_NONAME|ECONNREFUSED|EHOSTUNREACH|ENETUNREACH|EADDRNOTAVAIL|UND_ERR_CONNECT_TIMEOUT|CERT_.*|DEPTH_ZERO_.*|SELF_SIGNED_.*|UNABLE_TO_.*|ERR_TLS_.*|ERR_SSL_.*)$/u

const connectTimeout = new Set(["UND_ERR_CONNECT_TIMEOUT"])

/** What a failure of the transport came to. @category classification @since 0.1.0 */
export const ofFailure = (call: RunningCall, error: unknown): AttemptFailure => {
  const { redaction } = call.connection.options
  if (error instanceof BodyTooLarge) {
    const reason = new Fatal.ResponseInvalid({
      status: error.status,
      path: "",
      expected: `at most ${error.limit} bytes`
    })
    return { ...refusal(reason), sent: "unknown", status: error.status }
  }
  const cause = safeCause(error, redaction)
  if (
    HttpClientError.isHttpClientError(error) &&
    (error.reason._tag === "EncodeError" || error.reason._tag === "InvalidUrlError")
  ) {
    return {
      ...refusal(
        new Fatal.InvalidRequest({
          field: error.reason._tag === "InvalidUrlError" ? "url" : "body",
          detail: "could not be encoded"
        })
      ),
      cause
    }
  }
  const code = failureCode(error) ?? (Predicate.isError(error) && error.name === "TypeError" ? "EFETCH" : "EUNKNOWN")
  const reason = connectTimeout.has(code)
    ? new Retryable.Timeout({ phase: "connect", after: Duration.millis(call.policy.connectMillis) })
    : new Retryable.TransportFailed({ code: redaction.text(code, 64) })
  return unanswered(reason, { sent: notSent.test(code) ? "no" : "unknown", unhealthy: true, cause })
}
