/**
 * What an operator sees of the writes that nobody knows the outcome of, and how one is settled by hand: after a look into the provider's own pages, or a word with its support. @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Hash from "effect/Hash"
import * as Schema from "effect/Schema"
import { fieldsOf, settle } from "../call/Resolving.ts"
import type { IdempotencyRecord } from "../store/IdempotencyRecord.ts"
import { scopeOf } from "../store/IdempotencyRecord.ts"
import { IdempotencyStore } from "../store/IdempotencyStore.ts"
import type { Resolvable } from "../store/Resolvable.ts"
import { byScope } from "../store/Resolvable.ts"
import type { StaleClaim, StoreError } from "../store/StoreError.ts"

/** A write in doubt. Instants are in milliseconds of the store's clock. @category models @since 0.1.0 */
export interface Doubt {
  /** `provider.group.endpoint`. */
  readonly operation: string
  readonly connection: string
  readonly environment: string
  readonly key: string
  /** Tells this doubt from a later one of the same key. */
  readonly fence: number
  /** Since when it is in doubt. */
  readonly since: number
  readonly firstSentAt: number | undefined
  /** How it will be found out: `Ask` waits for you. `undefined` for an operation of which nothing is declared, or that is not open in this process. */
  readonly way: Resolvable["way"] | undefined
}

/** @category models @since 0.1.0 */
export interface ListOptions {
  /** At most so many, those that are longest in doubt first. Default 100. */
  readonly limit?: number | undefined
}

/** `operation@connection/environment`; a connection may have either sign in its name. */
const partsOf = (scope: string): Pick<Doubt, "operation" | "connection" | "environment"> => {
  const at = scope.indexOf("@")
  const slash = scope.lastIndexOf("/")
  return at < 0 || slash < at
    ? { operation: scope, connection: "", environment: "" }
    : { operation: scope.slice(0, at), connection: scope.slice(at + 1, slash), environment: scope.slice(slash + 1) }
}

const doubtOf = (
  { changedAt, fence, firstSentAt, key, scope }: IdempotencyRecord,
  of: Resolvable | undefined
): Doubt => {
  const parts =
    of === undefined
      ? partsOf(scope)
      : { operation: of.operation, connection: of.connection, environment: of.environment ?? "default" }
  return { ...parts, key, fence, since: changedAt, firstSentAt, way: of?.way }
}

/** The writes in doubt, of all operations that the store knows. @category operations @since 0.1.0 */
export const list = Effect.fnUntraced(function* (
  options: ListOptions = {}
): Effect.fn.Return<ReadonlyArray<Doubt>, StoreError, IdempotencyStore> {
  const store = yield* IdempotencyStore
  const open = yield* byScope
  const rows = yield* store.list({ states: ["Unknown"], limit: options.limit ?? 100 })
  return rows.map((row) => doubtOf(row, open.get(row.scope)))
})

/** What the operator found. @category models @since 0.1.0 */
export type Finding = { readonly _tag: "Done"; readonly value: unknown } | { readonly _tag: "NotDone" }

/**
 * It was made. With the value of the operation, later calls with the key are given it; without one they fail with an error that says that it is done. @category constructors @since 0.1.0
 */
export const done = (value?: unknown): Finding => ({ _tag: "Done", value })

/** It was not made, and never will be: a later call with the key sends it. @category constructors @since 0.1.0 */
export const notDone: Finding = { _tag: "NotDone" }

/** The value is none of the operation's, or nobody here knows the operation. Nothing was settled. @category errors @since 0.1.0 */
export class ValueUnfit extends Schema.TaggedError<ValueUnfit>("@breakwater/core/Doubts/ValueUnfit")("ValueUnfit", {
  operation: Schema.String,
  rule: Schema.String
}) {
  override get message(): string {
    return `${this.operation}: the value ${this.rule}`
  }
}

/** @category models @since 0.1.0 */
export interface SettleOptions extends Pick<Doubt, "operation" | "connection" | "environment" | "key" | "fence"> {
  /** What was found out: `done(value)`, `done()` or `notDone`. */
  readonly as: Finding
  /** Who found it out, such as `ana, ticket 42`: it stands in the log. */
  readonly by: string
}

const dayMillis = 86_400_000

/** What can be stored of a finding, checked before anything is changed. */
const storedOf = Effect.fnUntraced(function* (of: Resolvable | undefined, { as, operation }: SettleOptions) {
  if (as._tag === "NotDone" || as.value === undefined) return undefined
  if (of === undefined)
    return yield* new ValueUnfit({ operation, rule: "cannot be stored: its provider is not open in this process" })
  const answer = yield* of.encode(as.value)
  return answer ?? (yield* new ValueUnfit({ operation, rule: "must be what the operation gives" }))
})

/** Tells two keys apart in a line; a key may hold what is nobody's business. */
const shownKey = (key: string): string => (Hash.string(key) >>> 0).toString(16).padStart(8, "0")

/**
 * Settles a write in doubt by what an operator found out, and says at Info who did. Fails with `StaleClaim` if the record has moved on since it was listed, and with `ValueUnfit` for a value that a later call could not
 * be given. **Example** `Doubts.settleAs({ ...doubt, as: Doubts.notDone, by: "ana, ticket 42" })` @category operations @since 0.1.0
 */
export const settleAs = Effect.fnUntraced(function* (
  options: SettleOptions
): Effect.fn.Return<void, StoreError | StaleClaim | ValueUnfit, IdempotencyStore> {
  const { as, by, connection, fence, key, operation } = options
  const store = yield* IdempotencyStore
  const scope = scopeOf(options)
  const of = (yield* byScope).get(scope)
  const answer = yield* storedOf(of, options)
  const how = {
    retentionMillis: of?.retentionMillis ?? dayMillis,
    encode: () => Effect.succeed(answer)
  }
  yield* settle(store, { scope, key, fence }, how, as._tag === "Done" ? as : { _tag: "Undone" })
  const line = `${operation}: key ${shownKey(key)} settled as ${as._tag === "Done" ? "done" : "not done"} by ${by}`
  const provider = operation.split(".", 1)[0] ?? operation
  yield* Effect.annotateLogs(Effect.logInfo(line), fieldsOf({ provider, operation, connection }, "settled by hand"))
})
