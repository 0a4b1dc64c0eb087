/**
 * What may be done with the body of a request: bytes and forms are sent as often as it takes, a stream is sent once, and is watched while it is. @internal
 */
// A body fails with whatever its source fails with; the transport makes of it what it will.
// @effect-diagnostics anyUnknownInErrorContext:off
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Stream from "effect/Stream"
import { HttpBody, HttpClientRequest } from "../vocabulary/Platform.ts"

const isOnceOnly = (body: unknown): boolean =>
  Predicate.hasProperty(body, "getReader") || Predicate.hasProperty(body, Symbol.asyncIterator)

/** Whether the body can be sent again. One of Effect's streams, or of the platform's own, may give its bytes only once. @category guards @since 0.1.0 */
export const isReplayable = ({ body }: HttpClientRequest.HttpClientRequest): boolean => {
  if (body._tag === "Raw") return !isOnceOnly(body.body)
  return body._tag !== "Stream"
}

/** Who is told how a body is sent. @category models @since 0.1.0 */
export interface Sender {
  /** The transport asks for the next piece; until it has it, nobody is silent but us. */
  asked(): void
  /** It has the piece, or there is no further one. */
  given(): void
}

/** The request, of which each piece of a body that is a stream is told as the transport takes it. @category combinators @since 0.1.0 */
export const observed = (
  request: HttpClientRequest.HttpClientRequest,
  sender: Sender
): HttpClientRequest.HttpClientRequest => {
  const { body, headers } = request
  if (body._tag !== "Stream") return request
  const given = Effect.sync(() => sender.given())
  const told = Stream.transformPull(body.stream, (pull) =>
    Effect.succeed(
      Effect.suspend(() => {
        sender.asked()
        return Effect.onExit(pull, () => given)
      })
    )
  )
  const counted = HttpBody.stream(told, body.contentType, body.contentLength)
  // The request's own headers go before those that a body brings along.
  return HttpClientRequest.setHeaders(HttpClientRequest.setBody(request, counted), headers)
}
