/**
 * A part of a simulated provider's protocol: who may ask at all. @since 0.1.0
 */
import type { Headers } from "@breakwater/core/Platform"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import * as Result from "effect/Result"
import type { Answer, Received } from "./Exchange.ts"
import type { Part } from "./SimulatedProvider.ts"

/** @category models @since 0.1.0 */
export interface Options {
  /** `now` in milliseconds since the epoch, for tokens that end. */
  readonly accepts: (request: Received, now: number) => boolean
  /** 401, in the provider's words. */
  readonly refusal: (request: Received) => Answer
}

/** Lets a request through when it is accepted. @category constructors @since 0.1.0 */
export const make =
  (options: Options): Part =>
  (next) =>
  (request) =>
    Effect.flatMap(Clock.currentTimeMillis, (now) =>
      options.accepts(request, now) ? next(request) : Effect.succeed(options.refusal(request))
    )

/** The key in `Authorization`: a bearer token (RFC 6750), or the user of `Basic` (RFC 7617). @category accessors @since 0.1.0 */
export const keyIn = (headers: Headers.Headers): string | undefined => {
  const [scheme = "", credentials = ""] = (headers["authorization"] ?? "").split(" ", 2)
  if (scheme.toLowerCase() === "bearer") return credentials
  if (scheme.toLowerCase() !== "basic") return undefined
  const decoded = Base64.decodeString(credentials)
  return Result.isSuccess(decoded) ? decoded.success.split(":", 1)[0] : undefined
}
