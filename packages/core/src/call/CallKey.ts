/**
 * The idempotency key of a call: taken from its caller, bound to its request, put where the provider wants it. @internal
 */
import * as Duration from "effect/Duration"
import type * as Fiber from "effect/Fiber"
import type { Fingerprint, KeyCell } from "../policy/Idempotency.ts"
import { CurrentKey, CurrentName, defaultMaxLength, problemOf } from "../policy/Idempotency.ts"
import { keyProblem } from "../store/StoreError.ts"
import type { FatalReason } from "../vocabulary/FatalReason.ts"
import { InvalidRequest } from "../vocabulary/FatalReason.ts"
import { UrlParams } from "../vocabulary/Platform.ts"
import type { HttpClientRequest } from "../vocabulary/Platform.ts"
import type { RetryableReason } from "../vocabulary/RetryableReason.ts"
import { windowMargin } from "../vocabulary/MethodSafety.ts"
import * as CallRecord from "./CallRecord.ts"
import * as KeyPlace from "./KeyPlace.ts"
import type { RunningCall } from "./RunningCall.ts"

type AnyFiber = Fiber.Fiber<unknown, unknown>
type Problem = FatalReason | RetryableReason

const marginMillis = Duration.toMillis(windowMargin)

/** Instant after which the key must not be sent; `undefined` without a key, or before it was sent. @category accessors @since 0.1.0 */
export const keyUntil = (call: RunningCall): number | undefined => {
  const { firstSentAt, key, operation } = call
  if (key === undefined || operation.safety !== "keyed" || firstSentAt === undefined) return undefined
  const windowMillis = CallRecord.windowOf(call)
  return windowMillis === undefined ? undefined : firstSentAt + windowMillis - marginMillis
}

const fingerprintOf = (request: HttpClientRequest.HttpClientRequest | undefined): Fingerprint => {
  if (request === undefined) return { line: "", body: undefined }
  const { body } = request
  return {
    line: `${request.method} ${request.url}?${UrlParams.toString(request.urlParams)}`,
    body: body._tag === "Uint8Array" ? body.body : undefined
  }
}

/** Puts the key into the body, where that is its place. */
const place = (call: RunningCall, field: string | undefined, key: string): InvalidRequest | undefined => {
  if (field === undefined || call.request === undefined) return undefined
  const placed = KeyPlace.inBody(call.request, field, key)
  if (placed instanceof InvalidRequest) return placed
  call.request = placed
  return undefined
}

const bind = (call: RunningCall, cell: KeyCell, field: string | undefined): Problem | undefined => {
  const problem = place(call, field, cell.key) ?? cell.begin(call.operation.name, fingerprintOf(call.request))
  if (problem === undefined) call.key = cell
  // The call that has the key may have sent it.
  else if (problem._tag === "Locked") call.maybeDone = true
  return problem
}

const withoutStore = new InvalidRequest({
  field: "idempotency store",
  detail: "is required by Idempotency.once: provide one, such as Stores.layerSqlite"
})
const withoutMemory = new InvalidRequest({
  field: "record",
  detail: "is required by Idempotency.once: say how the outcome of the protected effect is kept"
})

/** The name of an unsafe operation: for its record, and for the field in which the provider takes a reference. */
const beginNamed = (call: RunningCall, fiber: AnyFiber, cell: KeyCell): Problem | undefined => {
  const { reference } = call.operation
  if (reference === undefined && CallRecord.storeOf(call, fiber) === undefined) return withoutStore
  if (call.kind.memory === undefined) return withoutMemory
  const longest = reference?.maxLength ?? defaultMaxLength
  if (cell.key === "" || cell.key.length > longest) {
    return new InvalidRequest({
      field: "idempotency key",
      detail: `must have 1 to ${longest} characters, has ${cell.key.length}`
    })
  }
  const unfit = keyProblem({ store: "idempotency", operation: "claim" }, "key", cell.key)
  return unfit === undefined ? bind(call, cell, reference?.field) : CallRecord.invalid(unfit)
}

/** Binds the key of a call to it, or says why it must not be sent. @category combinators @since 0.1.0 */
export const begin = (call: RunningCall, fiber: AnyFiber): Problem | undefined => {
  const { keys, safety } = call.operation
  if (safety === "unsafe") {
    const name = fiber.getRef(CurrentName)
    return name === undefined ? undefined : beginNamed(call, fiber, name)
  }
  if (safety !== "keyed") return undefined
  const cell = fiber.getRef(CurrentKey)
  if (cell === undefined)
    return new InvalidRequest({ field: "idempotency key", detail: "is required: use Idempotency.withKey" })
  return problemOf(cell.key, keys?.maxLength) ?? bind(call, cell, keys?.field)
}
