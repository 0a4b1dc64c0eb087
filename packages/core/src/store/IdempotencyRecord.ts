/**
 * What is remembered of one write under its key, as a pure state machine: what a claim may do given the row that is there, and what the end of a call makes of it. No adapter
 * decides any of this; they only compare and set.
 *
 *     Absent ─claim▸ InFlight ─▸ Succeeded | Failed   replayed until retention ends
 *       ▴              │  ├────▸ Pending ─claim▸ InFlight   while the provider still knows the key
 *       └──undone──────┘  └────▸ Unknown ─resolve▸ Succeeded | Failed | Absent
 *
 * @since 0.1.0
 */
import * as Predicate from "effect/Predicate"
import type { StoredPayload } from "./Payload.ts"
import type { Place, StoreError } from "./StoreError.ts"
import { make as storeError, maxKeyLength } from "./StoreError.ts"
import * as Fingerprint from "../vocabulary/Fingerprint.ts"

/** @category constants @since 0.1.0 */
export const states = ["Absent", "InFlight", "Succeeded", "Failed", "Pending", "Unknown"] as const

/** @category models @since 0.1.0 */
export type State = (typeof states)[number]

/** A key within its scope. @category models @since 0.1.0 */
export interface RecordId {
  /** What the key is a key of: operation and connection. One key in two scopes is two keys. */
  readonly scope: string
  readonly key: string
}

const unfit = /[\p{Cc}\p{Cs}]/gu
const shortened = maxKeyLength - 72

/**
 * The scope of the keys of an operation over a connection: `stripe.charges.create@default/production`. What would be too long for a store, or has characters that no store takes, is cut and ends with
 * a hash of the whole, so that no two scopes become one. @category constructors @since 0.1.0
 */
export const scopeOf = (of: {
  /** `provider.group.endpoint`. */
  readonly operation: string
  readonly connection: string
  /** Default `default`. */
  readonly environment?: string | undefined
}): string => {
  const scope = `${of.operation}@${of.connection}/${of.environment ?? "default"}`
  if (scope.length <= maxKeyLength && scope.search(unfit) < 0) return scope
  return `${scope.slice(0, shortened).replaceAll(unfit, "?")}~${Fingerprint.ofText(scope)}`
}

/** A row. Instants are in milliseconds of the store's own clock. @category models @since 0.1.0 */
export interface IdempotencyRecord extends RecordId {
  readonly state: State
  /** What the request was, hashed. */
  readonly fingerprint: string
  /** Counts up with each claim: who has an older one has lost the record. */
  readonly fence: number
  /** Until when whoever claimed it is taken to be at work; only in flight. */
  readonly leaseUntil: number | undefined
  /** When the first request may have left, over all claims; `undefined` while none can have. */
  readonly firstSentAt: number | undefined
  readonly changedAt: number
  /** From when on the row may be forgotten; `undefined` while it is unsettled. */
  readonly expiresAt: number | undefined
  /** The outcome, once it is settled. */
  readonly payload: StoredPayload | undefined
}

/** @category models @since 0.1.0 */
export interface ClaimRequest extends RecordId {
  readonly fingerprint: string
  /** How long the claim holds unless it is renewed: longer than the call can take. */
  readonly leaseMillis: number
  /**
   * How long after the first send the same key may be sent again: what the provider remembers, less a margin. 0 for a provider without keys: what may have been sent is then
   * never sent again. Default: for ever.
   */
  readonly windowMillis?: number | undefined
  /** The request leaves right after the claim: saves `sending` a write. Default `false`. */
  readonly sendsNow?: boolean | undefined
}

/** What the row must still be for a change to be made. @category models @since 0.1.0 */
export interface Expected {
  readonly fence: number
  readonly states: ReadonlyArray<State>
  /** The lease must be so, at the time of the change. */
  readonly lease?: "live" | "ended" | undefined
}

/** What becomes of a row. Spans are counted from the store's own now. @category models @since 0.1.0 */
export interface Change {
  readonly state: State
  /** A new claim: the fence counts up, and the request is bound to this. */
  readonly claimedFor?: string | undefined
  readonly leaseMillis?: number | undefined
  /** `now` where none was set before; `keep`; or what it was. */
  readonly firstSentAt: "now" | "keep" | number | undefined
  readonly keepMillis?: number | undefined
  readonly payload?: StoredPayload | undefined
}

/** The right to send, until the lease ends. @category models @since 0.1.0 */
export interface Claim extends RecordId {
  readonly fence: number
  readonly leaseUntil: number
  /** When a request may first have left under an earlier claim: this one goes on with the same key. `undefined` if none can have. */
  readonly firstSentAt: number | undefined
  /** The earlier claim was never given back: its process died, or is slow. */
  readonly takenOver: boolean
}

/** What a claim comes to. @category models @since 0.1.0 */
export type ClaimAnswer =
  | { readonly _tag: "Granted"; readonly claim: Claim }
  /** It is done: here is what came of it. */
  | { readonly _tag: "Settled"; readonly state: "Succeeded" | "Failed"; readonly payload: StoredPayload }
  /** Somebody is at it. */
  | { readonly _tag: "Locked"; readonly retryAfterMillis: number }
  /** The key was used for another request. */
  | { readonly _tag: "Mismatch" }
  /** Nobody knows whether it was done, and it must not be sent again: `resolve` it with this fence. */
  | { readonly _tag: "Unknown"; readonly fence: number; readonly firstSentAt: number | undefined }

/** @category models @since 0.1.0 */
export type Decision =
  | { readonly _tag: "Answer"; readonly answer: ClaimAnswer }
  | { readonly _tag: "Write"; readonly expected: Expected; readonly change: Change }

/** How a call ended, as the record sees it. @category models @since 0.1.0 */
export type Ending =
  /** A success, a declared error or a fatal answer *of the provider*: kept for `retentionMillis`, and replayed. */
  | { readonly _tag: "Succeeded" | "Failed"; readonly payload: StoredPayload; readonly retentionMillis: number }
  /** It may be done, and may be tried again with the same key. */
  | { readonly _tag: "Pending" }
  /** It may be done, and must not be tried again. */
  | { readonly _tag: "Unknown" }
  /** Nothing that this claim sent was done, or it sent nothing. */
  | { readonly _tag: "Undone"; readonly retentionMillis: number }

const answer = (answer: ClaimAnswer): Decision => ({ _tag: "Answer", answer })

/** The change that a first claim makes, also where no row is. @category transitions @since 0.1.0 */
export const claimed = (request: ClaimRequest, firstSentAt: number | undefined): Change => ({
  state: "InFlight",
  claimedFor: request.fingerprint,
  leaseMillis: request.leaseMillis,
  firstSentAt: firstSentAt ?? (request.sendsNow === true ? "now" : undefined)
})

/** Of a settled row whose payload is gone; adapters refuse to read one. */
const nothing: StoredPayload = { version: 0, json: "null" }

/** A row that binds nobody: its key is as good as new. */
const isFree = (row: IdempotencyRecord, now: number): boolean => {
  if (row.state === "Absent") return true
  if (row.state === "InFlight") return row.firstSentAt === undefined && (row.leaseUntil ?? 0) <= now
  return row.expiresAt !== undefined && row.expiresAt <= now
}

/** The row as it was read. A lease that had ended must not have been renewed meanwhile: its holder would send as well. */
const asRead = ({ fence, state }: IdempotencyRecord): Expected => ({
  fence,
  states: [state],
  lease: state === "InFlight" ? "ended" : undefined
})

const again = (row: IdempotencyRecord, request: ClaimRequest, now: number): Decision => {
  const firstSentAt = row.firstSentAt ?? row.changedAt
  const isLate = request.windowMillis !== undefined && now >= firstSentAt + request.windowMillis
  const change: Change = isLate ? { state: "Unknown", firstSentAt: "keep" } : claimed(request, firstSentAt)
  return { _tag: "Write", expected: asRead(row), change }
}

/** What a claim may do, given the row that is there. @category transitions @since 0.1.0 */
export const decide = (row: IdempotencyRecord, request: ClaimRequest, now: number): Decision => {
  const { fence, state } = row
  if (isFree(row, now)) return { _tag: "Write", expected: asRead(row), change: claimed(request, undefined) }
  if (row.fingerprint !== request.fingerprint) return answer({ _tag: "Mismatch" })
  if (state === "Unknown") return answer({ _tag: "Unknown", fence, firstSentAt: row.firstSentAt })
  if (state === "Succeeded" || state === "Failed") {
    return answer({ _tag: "Settled", state, payload: row.payload ?? nothing })
  }
  if (state === "InFlight" && row.leaseUntil !== undefined && row.leaseUntil > now)
    return answer({ _tag: "Locked", retryAfterMillis: row.leaseUntil - now })
  return again(row, request, now)
}

/** What is told of a change that a claim made. @category transitions @since 0.1.0 */
export const granted = (row: IdempotencyRecord, change: Change, takenOver: boolean): ClaimAnswer => {
  const { fence, firstSentAt, key, leaseUntil = 0, scope } = row
  if (row.state === "Unknown") return { _tag: "Unknown", fence, firstSentAt }
  const before = Predicate.isNumber(change.firstSentAt) ? change.firstSentAt : undefined
  return { _tag: "Granted", claim: { scope, key, fence, leaseUntil, firstSentAt: before, takenOver } }
}

const settledAs = (ending: Exclude<Ending, { readonly _tag: "Undone" }>): Change =>
  "payload" in ending
    ? { state: ending._tag, firstSentAt: "keep", keepMillis: ending.retentionMillis, payload: ending.payload }
    : { state: ending._tag, firstSentAt: "now" }

/** What the end of a call makes of the row that it had claimed. @category transitions @since 0.1.0 */
export const settled = (
  { fence, firstSentAt }: Claim,
  ending: Ending
): { readonly expected: Expected; readonly change: Change } => {
  // Whoever comes late with an outcome knows more than a record that was given up.
  const expected: Expected = { fence, states: "payload" in ending ? ["InFlight", "Unknown"] : ["InFlight"] }
  if (ending._tag !== "Undone") return { expected, change: settledAs(ending) }
  return firstSentAt === undefined
    ? { expected, change: { state: "Absent", firstSentAt: undefined, keepMillis: ending.retentionMillis } }
    : { expected, change: { state: "Pending", firstSentAt: "keep" } }
}

/** What was found out about a row that nobody claims. @category transitions @since 0.1.0 */
export const resolved = (fence: number, ending: Ending): { readonly expected: Expected; readonly change: Change } => ({
  expected: { fence, states: ["Unknown", "Pending"] },
  change:
    ending._tag === "Undone"
      ? { state: "Absent", firstSentAt: undefined, keepMillis: ending.retentionMillis }
      : settledAs(ending)
})

/** Whether a row has moved on to what the change would have made of it: a writer that asks again after a lost answer is told that it is done. @category guards @since 0.1.0 */
export const isDone = (row: IdempotencyRecord | undefined, fence: number, { payload, state }: Change): boolean =>
  row !== undefined && row.fence === fence && row.state === state && row.payload?.json === payload?.json

/** The row that a change makes: for adapters that keep rows as they are. @category transitions @since 0.1.0 */
export const apply = (
  id: RecordId,
  row: IdempotencyRecord | undefined,
  change: Change,
  { firstFence, now }: { readonly now: number; readonly firstFence: number }
): IdempotencyRecord => {
  const before = row?.firstSentAt
  const at = change.firstSentAt
  const isClaim = change.claimedFor !== undefined
  return {
    scope: id.scope,
    key: id.key,
    state: change.state,
    fingerprint: change.claimedFor ?? row?.fingerprint ?? "",
    fence: row === undefined ? firstFence : row.fence + (isClaim ? 1 : 0),
    leaseUntil: change.leaseMillis === undefined ? undefined : now + change.leaseMillis,
    firstSentAt: at === "keep" ? before : at === "now" ? ((isClaim ? undefined : before) ?? now) : at,
    changedAt: now,
    expiresAt: change.keepMillis === undefined ? undefined : now + change.keepMillis,
    payload: change.payload
  }
}

/** Whether the row is still what a change expects. @category guards @since 0.1.0 */
export const meets = (row: IdempotencyRecord | undefined, expected: Expected | undefined, now: number): boolean => {
  if (row === undefined || expected === undefined) return row === expected
  return (
    row.fence === expected.fence &&
    expected.states.includes(row.state) &&
    (expected.lease === undefined || (expected.lease === "live") === (row.leaseUntil ?? 0) > now)
  )
}

/** A row as an adapter reads it, whatever was written there. @category models @since 0.1.0 */
export type Fields = Readonly<Record<string, unknown>> & {
  readonly [Field in Exclude<keyof IdempotencyRecord, "payload"> | "payloadVersion" | "payload"]?: unknown
}

const isState = (u: unknown): u is State => states.some((state) => state === u)

const optionalNumber = (u: unknown): number | undefined => (u === null || u === undefined ? undefined : Number(u))

const isSettled = (state: State): boolean => state === "Succeeded" || state === "Failed"

/**
 * The record that was written, or why it cannot be read: it is then left as it is, so that whoever wrote it finds it. A state that is not known here was written by a newer version.
 * @category decoding @since 0.1.0
 */
export const fromFields = (place: Place, fields: Fields): IdempotencyRecord | StoreError => {
  const { fingerprint, key, payload: json, scope, state } = fields
  if (!isState(state))
    return storeError(place, "newer", `the state ${JSON.stringify(state)?.slice(0, 40)} is not known`)
  const [fence, changedAt] = [Number(fields.fence), Number(fields.changedAt)]
  const version = optionalNumber(fields.payloadVersion)
  const payload = Predicate.isString(json) && version !== undefined ? { version, json } : undefined
  const isSound =
    Number.isFinite(fence) &&
    Number.isFinite(changedAt) &&
    Predicate.isString(fingerprint) &&
    isSettled(state) === (payload !== undefined)
  if (!isSound) return storeError(place, "corrupt", "a column has no value that can be there")
  return {
    scope: String(scope),
    key: String(key),
    state,
    fingerprint,
    fence,
    leaseUntil: optionalNumber(fields.leaseUntil),
    firstSentAt: optionalNumber(fields.firstSentAt),
    changedAt,
    expiresAt: optionalNumber(fields.expiresAt),
    payload
  }
}
