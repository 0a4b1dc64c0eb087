/**
 * What can go wrong with a store, whichever it is and wherever it keeps its rows. An error names the store, what was asked of it and the problem; it holds no key, no value and
 * no connection string. @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * Why a store could not do what it was asked.
 *
 * | problem | means | again? |
 * |---|---|---|
 * | `unavailable` | it cannot be reached | later |
 * | `timeout` | it did not answer in time, and may have done it | later, everything is fenced or idempotent |
 * | `busy` | somebody else holds the row or the file | soon |
 * | `full` | the disk, or the capacity of a memory store | when there is room |
 * | `in transaction` | asked inside a transaction that could take the write back | outside of it |
 * | `invalid` | a key or a value breaks a rule, which `detail` names | no |
 * | `newer` | the row was written by a newer version, and is left as it is | after an upgrade |
 * | `corrupt` | the row cannot be read, and is left as it is | no |
 * | `failed` | anything else, in the words of the driver | perhaps |
 *
 * @category schemas @since 0.1.0
 */
export const Problem = Schema.Literals([
  "unavailable",
  "timeout",
  "busy",
  "full",
  "in transaction",
  "invalid",
  "newer",
  "corrupt",
  "failed"
])

/** @category models @since 0.1.0 */
export type Problem = typeof Problem.Type

/** A store could not do what it was asked. @category errors @since 0.1.0 */
export class StoreError extends Schema.TaggedError<StoreError>("@breakwater/core/StoreError")("StoreError", {
  /** Such as `idempotency` or `outbox`. */
  store: Schema.String,
  /** What was asked of it, such as `claim`. */
  operation: Schema.String,
  problem: Problem,
  /** More about it, without anything secret; empty when the problem says it all. */
  detail: Schema.String
}) {
  override get message(): string {
    return `${this.store} store, ${this.operation}: ${this.problem}${this.detail === "" ? "" : `: ${this.detail}`}`
  }
  /** Whether the same request may succeed later without anybody doing anything. */
  get isRetryable(): boolean {
    return this.problem === "unavailable" || this.problem === "timeout" || this.problem === "busy"
  }
}

/**
 * Somebody else has taken over what this writer had claimed, or settled it: what it brings is refused. The row is as the other one left it.
 * @category errors @since 0.1.0
 */
export class StaleClaim extends Schema.TaggedError<StaleClaim>("@breakwater/core/StoreError/StaleClaim")("StaleClaim", {
  store: Schema.String,
  operation: Schema.String,
  /** The fencing token of the claim. */
  fence: Schema.Number,
  /** The token that the row has now; `undefined` if there is no such row any more. */
  current: Schema.optional(Schema.Number)
}) {
  override get message(): string {
    return `${this.store} store, ${this.operation}: the claim is stale (fence ${this.fence}, now ${this.current ?? "gone"})`
  }
}

/** Who was asked what, for errors. @category models @since 0.1.0 */
export interface Place {
  readonly store: string
  readonly operation: string
}

/** @category constructors @since 0.1.0 */
export const make = ({ operation, store }: Place, problem: Problem, detail = ""): StoreError =>
  new StoreError({ store, operation, problem, detail })

/** Longest key or name, in UTF-16 code units: what every adapter can index. @category constants @since 0.1.0 */
export const maxKeyLength = 512

/** Why a text cannot be a key in every store, or `undefined`. @category guards @since 0.1.0 */
export const keyProblem = (place: Place, field: string, key: string): StoreError | undefined => {
  if (key.length === 0 || key.length > maxKeyLength) {
    return make(place, "invalid", `${field} must have 1 to ${maxKeyLength} characters, has ${key.length}`)
  }
  return /[\p{Cc}\p{Cs}]/u.test(key)
    ? make(place, "invalid", `${field} must not have control characters or broken surrogates`)
    : undefined
}
