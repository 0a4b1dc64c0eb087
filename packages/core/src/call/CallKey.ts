/**
 * The idempotency key of a call: taken from its caller, bound to its request, put into the header that the provider named. @internal
 */
import * as Duration from "effect/Duration"
import type * as Fiber from "effect/Fiber"
import type { Fingerprint } from "../policy/Idempotency.ts"
import { CurrentKey, problemOf } from "../policy/Idempotency.ts"
import type { FatalReason } from "../vocabulary/FatalReason.ts"
import { InvalidRequest } from "../vocabulary/FatalReason.ts"
import { UrlParams } from "../vocabulary/Platform.ts"
import type { HttpClientRequest } from "../vocabulary/Platform.ts"
import type { RetryableReason } from "../vocabulary/RetryableReason.ts"
import { windowMargin } from "../vocabulary/MethodSafety.ts"
import type { RunningCall } from "./RunningCall.ts"

const marginMillis = Duration.toMillis(windowMargin)

/** Instant after which the key must not be sent; `undefined` without a key, or before it was sent. @category accessors @since 0.1.0 */
export const keyUntil = (call: RunningCall): number | undefined =>
  call.key === undefined || call.operation.keys === undefined || call.firstSentAt === undefined
    ? undefined
    : call.firstSentAt + Duration.toMillis(call.operation.keys.window) - marginMillis

const fingerprintOf = (request: HttpClientRequest.HttpClientRequest | undefined): Fingerprint => {
  if (request === undefined) return { line: "", body: undefined }
  const { body } = request
  return {
    line: `${request.method} ${request.url}?${UrlParams.toString(request.urlParams)}`,
    body: body._tag === "Uint8Array" ? body.body : undefined
  }
}

/** Binds the key of a keyed operation to this call, or says why it must not be sent. @category combinators @since 0.1.0 */
export const begin = (
  call: RunningCall,
  fiber: Fiber.Fiber<unknown, unknown>
): FatalReason | RetryableReason | undefined => {
  const { keys, name, safety } = call.operation
  if (safety !== "keyed") return undefined
  const cell = fiber.getRef(CurrentKey)
  if (cell === undefined)
    return new InvalidRequest({ field: "idempotency key", detail: "is required: use Idempotency.withKey" })
  const problem = problemOf(cell.key, keys?.maxLength) ?? cell.begin(name, fingerprintOf(call.request))
  if (problem !== undefined) return problem
  call.key = cell
  return undefined
}
