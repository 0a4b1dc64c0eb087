/** One value of every reason, filled in as the pipeline fills it, for tests that must hold for all of them. */
import * as Fatal from "@breakwater/core/FatalReason"
import * as Retryable from "@breakwater/core/RetryableReason"
import { Duration } from "effect"

const answer = { status: 503, code: "overloaded" }

export const attemptReasons: ReadonlyArray<Retryable.AttemptReason> = [
  new Retryable.RateLimited({ status: 429, code: "slow_down", by: "provider", retryAfter: Duration.seconds(2) }),
  new Retryable.Unavailable({ ...answer, problem: "status", retryAfter: Duration.seconds(3) }),
  new Retryable.Timeout({ phase: "silence", after: Duration.seconds(5) }),
  new Retryable.TransportFailed({ code: "ECONNRESET" }),
  new Retryable.Locked({ status: 409, code: "lock_timeout", retryAfter: Duration.seconds(4) })
]

export const refusals: ReadonlyArray<Retryable.RetryableReason> = [
  new Retryable.CircuitOpen({ retryAfter: Duration.seconds(30) }),
  new Retryable.Overloaded({ problem: "queue full", concurrency: 64 }),
  new Retryable.RetriesSpent({ last: new Retryable.TransportFailed({ code: "ECONNRESET" }) }),
  new Retryable.DeadlineExceeded({ deadline: Duration.seconds(10) }),
  new Retryable.CredentialUnavailable({ detail: "the token endpoint is down" }),
  new Retryable.Stopped({ by: "ana, incident 42" }),
  new Retryable.StoreUnavailable({ store: "idempotency", operation: "claim", problem: "unavailable" })
]

export const retryableReasons: ReadonlyArray<Retryable.RetryableReason> = [...attemptReasons, ...refusals]

export const fatalReasons: ReadonlyArray<Fatal.FatalReason> = [
  new Fatal.InvalidRequest({ status: 422, code: "amount_too_small" }),
  new Fatal.Unauthorized({ status: 401, code: "bad_key" }),
  new Fatal.CredentialRejected({ status: 401 }),
  new Fatal.PermissionDenied({ status: 403 }),
  new Fatal.NotFound({ status: 404, code: "resource_missing" }),
  new Fatal.Conflict({ status: 409 }),
  new Fatal.QuotaExhausted({ status: 402 }),
  new Fatal.IdempotencyMismatch({ status: 400, code: "idempotency_error" }),
  new Fatal.ResponseInvalid({ status: 200, path: "data.0.amount", expected: "a whole number" }),
  new Fatal.Rejected({ status: 418, code: "teapot" }),
  new Fatal.Unresolved({}),
  new Fatal.RecordUnusable({ problem: "not kept" }),
  new Fatal.DryRun({})
]
