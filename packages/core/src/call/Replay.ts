/**
 * A call whose outcome is there already: it is given as the first one was, and said to be that. @internal
 */
// The outcome of a call is whatever its declaration says.
// @effect-diagnostics anyUnknownInErrorContext:off
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import { BufferedResponse } from "../transport/BufferedResponse.ts"
import * as Answer from "../vocabulary/Answer.ts"
import { attribute } from "../vocabulary/Telemetry.ts"
import * as CallLog from "./CallLog.ts"
import type { Claimed } from "./CallRecord.ts"
import type { RunningCall } from "./RunningCall.ts"

/** @category combinators @since 0.1.0 */
export const of = (
  call: RunningCall,
  fiber: Fiber.Fiber<unknown, unknown>,
  { kept, replay }: Extract<Claimed, { readonly _tag: "Settled" }>
): Effect.Effect<unknown, unknown> => {
  const ageMillis = Math.max(0, call.now - kept.at)
  call.span?.attribute(attribute.replayed, true)
  if (Answer.isCaptured(fiber)) {
    const requestId =
      call.answer instanceof BufferedResponse ? call.connection.requestIdOf(call.answer.headers) : undefined
    Answer.note(fiber, {
      source: "cached",
      age: Duration.millis(ageMillis),
      operation: call.operation.name,
      requestId
    })
  }
  return CallLog.isVerbose(fiber) ? Effect.andThen(CallLog.replayed(call, fiber, ageMillis), replay) : replay
}
