/**
 * Why a call failed in a way that trying again changes nothing. One class for each trigger, plain data, redacted before it was made. @since 0.1.0
 */
import * as Schema from "effect/Schema"

const answer = {
  /** HTTP status of the answer, where there was one. */
  status: Schema.optional(Schema.Int),
  /** The provider's own error code, where its error table reads one. */
  code: Schema.optional(Schema.String)
}

const answered = (
  what: string,
  reason: { readonly status?: number | undefined; readonly code?: string | undefined }
): string =>
  `${what}${reason.status === undefined ? "" : ` (${reason.status}${reason.code === undefined ? "" : ` ${reason.code}`})`}`

/**
 * The request is wrong: 400 or 422, or our own validation, which names the `field` and the rule in `detail`; then nothing was sent and
 * `status` is absent. @category reasons @since 0.1.0
 */
export class InvalidRequest extends Schema.TaggedClass<InvalidRequest>("@breakwater/core/FatalReason/InvalidRequest")(
  "InvalidRequest",
  {
    ...answer,
    field: Schema.optional(Schema.String),
    detail: Schema.optional(Schema.String)
  }
) {
  get message(): string {
    const detail =
      this.detail === undefined ? "" : `: ${this.field === undefined ? "" : `${this.field} `}${this.detail}`
    return answered("invalid request", this) + detail
  }
}

/** 401 with a credential that cannot be refreshed. @category reasons @since 0.1.0 */
export class Unauthorized extends Schema.TaggedClass<Unauthorized>("@breakwater/core/FatalReason/Unauthorized")(
  "Unauthorized",
  answer
) {
  get message(): string {
    return answered("unauthorized: the static credential was refused", this)
  }
}

/** 401 again after a refresh, or the grant was revoked: somebody must authorise anew. @category reasons @since 0.1.0 */
export class CredentialRejected extends Schema.TaggedClass<CredentialRejected>(
  "@breakwater/core/FatalReason/CredentialRejected"
)("CredentialRejected", answer) {
  get message(): string {
    return answered("credential rejected after a refresh", this)
  }
}

/** 403. @category reasons @since 0.1.0 */
export class PermissionDenied extends Schema.TaggedClass<PermissionDenied>(
  "@breakwater/core/FatalReason/PermissionDenied"
)("PermissionDenied", answer) {
  get message(): string {
    return answered("permission denied", this)
  }
}

/** 404 or 410. @category reasons @since 0.1.0 */
export class NotFound extends Schema.TaggedClass<NotFound>("@breakwater/core/FatalReason/NotFound")(
  "NotFound",
  answer
) {
  get message(): string {
    return answered("not found", this)
  }
}

/** 409 or 412 that does not mean "in flight". @category reasons @since 0.1.0 */
export class Conflict extends Schema.TaggedClass<Conflict>("@breakwater/core/FatalReason/Conflict")(
  "Conflict",
  answer
) {
  get message(): string {
    return answered("conflict", this)
  }
}

/** A limit that waiting does not lift soon: a day's quota, unpaid bills. @category reasons @since 0.1.0 */
export class QuotaExhausted extends Schema.TaggedClass<QuotaExhausted>("@breakwater/core/FatalReason/QuotaExhausted")(
  "QuotaExhausted",
  answer
) {
  get message(): string {
    return answered("quota exhausted", this)
  }
}

/** One idempotency key, two inputs: found by us before sending, or by the provider. @category reasons @since 0.1.0 */
export class IdempotencyMismatch extends Schema.TaggedClass<IdempotencyMismatch>(
  "@breakwater/core/FatalReason/IdempotencyMismatch"
)("IdempotencyMismatch", {
  ...answer,
  detail: Schema.optional(Schema.String)
}) {
  get message(): string {
    return answered("idempotency key mismatch", this) + (this.detail === undefined ? "" : `: ${this.detail}`)
  }
}

/** The answer does not fit its schema, has a success status that was not declared, or is larger than the limit. @category reasons @since 0.1.0 */
export class ResponseInvalid extends Schema.TaggedClass<ResponseInvalid>(
  "@breakwater/core/FatalReason/ResponseInvalid"
)("ResponseInvalid", {
  ...answer,
  /** Where in the answer, such as `data.0.amount`; empty for the answer as a whole. */
  path: Schema.String,
  /** What was expected there; never the value that was found. */
  expected: Schema.String
}) {
  get message(): string {
    return `${answered("invalid response", this)}: ${this.path === "" ? "" : `${this.path}: `}expected ${this.expected}`
  }
}

/** Any other status. @category reasons @since 0.1.0 */
export class Rejected extends Schema.TaggedClass<Rejected>("@breakwater/core/FatalReason/Rejected")(
  "Rejected",
  answer
) {
  get message(): string {
    return answered("rejected", this)
  }
}

/** An earlier call under the same key may have been carried out, and must not be made again; nothing was sent now. Its record waits to be resolved. @category reasons @since 0.1.0 */
export class Unresolved extends Schema.TaggedClass<Unresolved>("@breakwater/core/FatalReason/Unresolved")(
  "Unresolved",
  {}
) {
  get message(): string {
    return "an earlier call under this key may have been carried out"
  }
}

const unusable = {
  "not kept": "it was answered, and the answer was not kept",
  unreadable: "what was kept does not fit the declaration any more",
  newer: "it was written by a newer version",
  corrupt: "it cannot be read",
  "in transaction": "it cannot be written inside a transaction that may be rolled back"
}

/** The record of a write cannot be used for this call; nothing was sent. `not kept` and `unreadable`: the write was made before, and must not be made again. @category reasons @since 0.1.0 */
export class RecordUnusable extends Schema.TaggedClass<RecordUnusable>("@breakwater/core/FatalReason/RecordUnusable")(
  "RecordUnusable",
  {
    problem: Schema.Literals(["not kept", "unreadable", "newer", "corrupt", "in transaction"])
  }
) {
  get message(): string {
    return `idempotency record unusable: ${unusable[this.problem]}`
  }
}

/** A dry run: the request was encoded and checked, and not sent (`Call.dryRun`, `<PROVIDER>_DRY_RUN`). @category reasons @since 0.1.0 */
export class DryRun extends Schema.TaggedClass<DryRun>("@breakwater/core/FatalReason/DryRun")("DryRun", {}) {
  get message(): string {
    return "dry run, not sent"
  }
}

/** @category reasons @since 0.1.0 */
export type FatalReason =
  | InvalidRequest
  | Unauthorized
  | CredentialRejected
  | PermissionDenied
  | NotFound
  | Conflict
  | QuotaExhausted
  | IdempotencyMismatch
  | ResponseInvalid
  | Rejected
  | Unresolved
  | RecordUnusable
  | DryRun

/** @category schemas @since 0.1.0 */
export const FatalReason = Schema.Union([
  InvalidRequest,
  Unauthorized,
  CredentialRejected,
  PermissionDenied,
  NotFound,
  Conflict,
  QuotaExhausted,
  IdempotencyMismatch,
  ResponseInvalid,
  Rejected,
  Unresolved,
  RecordUnusable,
  DryRun
])

/** Tells a fatal reason from a retryable one. @category guards @since 0.1.0 */
export const isFatalReason: (reason: unknown) => reason is FatalReason = Schema.is(FatalReason)
