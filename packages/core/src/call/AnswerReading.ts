/**
 * Reads what an HTTP attempt came to: an answer by the declaration and the error table, a failure of the transport by its code. Everything that stays of it in an error
 * is sanitised here. @internal
 */
import * as Duration from "effect/Duration"
import * as Predicate from "effect/Predicate"
import * as Dialect from "../definition/Dialect.ts"
import type { Verdict } from "../definition/ErrorTable.ts"
import * as ErrorTable from "../definition/ErrorTable.ts"
import type { Quota } from "../definition/Quota.ts"
import { BodyTooLarge } from "../transport/BodyRead.ts"
import { BufferedResponse } from "../transport/BufferedResponse.ts"
import type { AttemptFailure } from "../vocabulary/AttemptFailure.ts"
import { refusal, unanswered } from "../vocabulary/AttemptFailure.ts"
import * as Fatal from "../vocabulary/FatalReason.ts"
import { HttpClientError } from "../vocabulary/Platform.ts"
import type { Redaction } from "../vocabulary/Redaction.ts"
import { failureCode, safeCause } from "../vocabulary/Redaction.ts"
import * as RetryHint from "../vocabulary/RetryHint.ts"
import * as Retryable from "../vocabulary/RetryableReason.ts"
import type { Headers } from "../vocabulary/Platform.ts"
import * as CallNotices from "./CallNotices.ts"
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

const words = /^[a-z]+(?:[_.-][a-z]+)*$/iu

/** A code is the provider's words: taken as it is where it is made of words, and sanitised where it could be anything. */
const shownCode = (code: string | undefined, redaction: Redaction): string | undefined =>
  code === undefined || words.test(code) ? code : redaction.text(code, 128)

const reasonOf = (
  verdict: Verdict,
  status: number,
  hintMillis: number | undefined,
  redaction: Redaction
): Retryable.RetryableReason | Fatal.FatalReason => {
  const answer = { status, code: shownCode(verdict.code, redaction) }
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

/** What every answer tells beside its outcome: what is left of the limits, and how long the operation will be there. */
const learn = (call: RunningCall, { headers }: BufferedResponse, now: number): ReadonlyArray<Quota> => {
  const { dialect, rate } = call.connection
  const told = Dialect.quotas(dialect, headers, now)
  for (const quota of told) {
    const usage = rate.learn(call.route, { ...quota, scope: dialect.scope }, now)
    if (usage !== undefined) CallNotices.noteUsage(call, usage)
  }
  const concurrent = Dialect.concurrent(dialect, headers)
  if (concurrent !== undefined) {
    const usage = rate.noteConcurrency(concurrent, dialect.concurrency?.limit, now)
    if (usage !== undefined) CallNotices.noteUsage(call, usage)
  }
  CallNotices.noteDeprecation(call, headers)
  return told
}

/** A refusal for the rate holds back whom it is about, a margin longer than it asks (RATE-3), and never longer than a hint is slept. */
const holdBack = (call: RunningCall, headers: Headers.Headers, hintMillis: number, now: number): void => {
  const { dialect, policy, rate } = call.connection
  const scope = Dialect.refusalScope(dialect, headers)
  const { marginMillis } = policy.rate
  if (scope !== "call")
    rate.block(call.route, scope, Math.min(hintMillis, call.policy.hintCapMillis) + marginMillis, now)
}

const failureOf = (
  call: RunningCall,
  response: BufferedResponse,
  now: number,
  parts: Pick<AttemptFailure, "reason" | "sent" | "unhealthy"> & Partial<Pick<AttemptFailure, "hintMillis">>
): AttemptFailure => {
  const replayed = call.operation.keys?.replayedHeader
  return {
    hintMillis: RetryHint.fromHeaders(response.headers, now),
    ...parts,
    replayed: replayed !== undefined && response.headers[replayed.toLowerCase()] === "true",
    status: response.status,
    requestId: call.connection.requestIdOf(response.headers),
    excerpt: response.bytes.length === 0 ? undefined : call.connection.options.redaction.body(response.content),
    cause: undefined
  }
}

const nothing = new Uint8Array(0)

/** A resent DELETE that meets "not found" has done its work: the first one did it, and its answer was lost. */
const isLostDelete = (call: RunningCall, status: number): boolean =>
  call.operation.method === "DELETE" &&
  call.maybeDone &&
  (status === 404 || status === 410) &&
  (call.operation.declared?.emptySuccess ?? true)

const asDeleted = (call: RunningCall, response: BufferedResponse): void => {
  const [status = 204] = call.operation.declared?.success.keys() ?? []
  call.answer = new BufferedResponse(response.request, { status, headers: response.headers }, nothing)
}

const ofFailedStatus = (
  call: RunningCall,
  response: BufferedResponse,
  told: ReadonlyArray<Quota>,
  now: number
): AttemptFailure | undefined => {
  const { status } = response
  const parsed = response.parsed
  const verdict = ErrorTable.read(call.connection.errors, {
    status,
    headers: response.headers,
    body: parsed._tag === "Json" ? parsed.value : undefined
  })
  const declared = call.operation.declared?.error.get(status)
  if (!verdict.explicit && declared !== undefined && (declared !== "json" || parsed._tag === "Json")) return undefined
  if (isLostDelete(call, status)) {
    asDeleted(call, response)
    return undefined
  }
  const hintMillis =
    RetryHint.fromHeaders(response.headers, now) ??
    (verdict.means === "RateLimited" ? Dialect.refusalMillis(call.connection.dialect, told) : undefined)
  const reason = reasonOf(verdict, status, hintMillis, call.connection.options.redaction)
  if (reason._tag === "RateLimited" && hintMillis !== undefined && !call.replayed)
    holdBack(call, response.headers, hintMillis, now)
  const decided = Fatal.isFatalReason(reason) ? !verdict.undecided : verdict.refusedBeforeWork
  const sent = decided ? "refused" : "unknown"
  const unhealthy = reason._tag === "Unavailable"
  const failure = failureOf(call, response, now, { reason, sent, unhealthy, hintMillis })
  return verdict.concerns === undefined ? failure : { ...failure, concerns: verdict.concerns }
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
      sent: "unknown",
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
  // What was answered to an earlier call tells nothing of now.
  const told = call.replayed ? [] : learn(call, response, now)
  if (response.status >= 200 && response.status < 300) return ofSuccessStatus(call, response, now)
  if (response.status === 304 && call.operation.declared === undefined) return undefined
  return ofFailedStatus(call, response, told, now)
}

/** The provider has confirmed what is kept: it tells of its limits all the same. @category classification @since 0.1.0 */
export const ofNotModified = (call: RunningCall, response: BufferedResponse, now: number): undefined => {
  call.answer = response
  learn(call, response, now)
}

/** Codes of failures in which no request reached the provider: no name, no connection, no TLS. A damaged TLS record comes later. */
const unconnected =
  /^(?:ENOTFOUND|EAI_AGAIN|EAI_NODATA|EAI_NONAME|ECONNREFUSED|EHOSTUNREACH|ENETUNREACH|EADDRNOTAVAIL|UND_ERR_CONNECT_TIMEOUT|ERR_PROXY_.*|CERT_.*|DEPTH_ZERO_.*|SELF_SIGNED_.*|UNABLE_TO_.*|ERR_TLS_.*|ERR_SSL_(?!.*(?:BAD_RECORD|DECRYPTION|INTERNAL_ERROR)).*)$/u

/** What the system was doing, however deep a client hid it: reading and writing happen on a connection that stood. */
const syscallOf = (u: unknown, depth = 0): unknown => {
  if (!Predicate.isObject(u) || depth > 4) return undefined
  const { cause, syscall } = u as { readonly syscall?: unknown; readonly cause?: unknown }
  return syscall ?? syscallOf(cause, depth + 1)
}

const isNotSent = (code: string, error: unknown): boolean => {
  if (!unconnected.test(code)) return false
  const syscall = syscallOf(error)
  return syscall !== "read" && syscall !== "write"
}

const connectTimeout = new Set(["UND_ERR_CONNECT_TIMEOUT"])

/** An answer whose body is beyond the limit: of a failure the status says enough, a success cannot be read. */
const ofTooLarge = (call: RunningCall, { limit, status }: BodyTooLarge, now: number): AttemptFailure | undefined => {
  const reason = new Fatal.ResponseInvalid({ status, path: "", expected: `at most ${limit} bytes` })
  const { request, source } = call
  if (request === undefined || source === undefined) return { ...refusal(reason), sent: "unknown", status }
  const headed = new BufferedResponse(request, source, nothing)
  if (status >= 400) return ofResponse(call, headed, now)
  learn(call, headed, now)
  return failureOf(call, headed, now, { reason, sent: "unknown", unhealthy: false })
}

/** What a failure of the transport came to. @category classification @since 0.1.0 */
export const ofFailure = (call: RunningCall, error: unknown, now: number): AttemptFailure | undefined => {
  const { redaction } = call.connection.options
  if (error instanceof BodyTooLarge) return ofTooLarge(call, error, now)
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
  return unanswered(reason, { sent: isNotSent(code, error) ? "no" : "unknown", unhealthy: true, cause })
}
