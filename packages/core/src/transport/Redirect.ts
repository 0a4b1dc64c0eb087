/**
 * Redirects (RFC 9110 §15.4): never followed for writes; for reads at most five, to the same origin, so that a credential neither crosses an origin nor leaves
 * https. One that is not followed is the answer. @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { Safety } from "../vocabulary/Safety.ts"
import type { HttpClient, HttpClientError, HttpClientResponse } from "../vocabulary/Platform.ts"
import { Headers, HttpBody, HttpClientRequest } from "../vocabulary/Platform.ts"
import type { BufferedResponse } from "./BufferedResponse.ts"
import { isReplayable } from "./RequestBody.ts"

/** Redirects followed in one attempt. @category constants @since 0.1.0 */
export const limit = 5

const followed = new Set([301, 302, 303, 307, 308])

const targetOf = (request: HttpClientRequest.HttpClientRequest, answer: BufferedResponse): URL | undefined => {
  const { location } = answer.headers
  if (!followed.has(answer.status) || location === undefined || !URL.canParse(location, request.url)) return undefined
  // After 303 there is no body, and with any other status it would have to be sent again.
  if (answer.status !== 303 && !isReplayable(request)) return undefined
  const target = new URL(location, request.url)
  target.username = target.password = target.hash = ""
  return target.origin === new URL(request.url).origin ? target : undefined
}

/** The request at its new place: the query of the new place, the headers of the old; after 303 a GET without a body (RFC 9110 §15.4.4). */
const moved = (
  request: HttpClientRequest.HttpClientRequest,
  target: URL,
  status: number
): HttpClientRequest.HttpClientRequest => {
  const next = HttpClientRequest.setUrl(request, target)
  if (status !== 303 || request.method === "GET" || request.method === "HEAD") return next
  const bodiless = HttpClientRequest.setBody(HttpClientRequest.setMethod(next, "GET"), HttpBody.empty)
  return HttpClientRequest.updateHeaders(bodiless, Headers.removeMany(["content-type", "content-length"]))
}

/** Whether an answer points to a place that is called next. @category guards @since 0.1.0 */
export const isFollowed = (
  safety: Safety,
  request: HttpClientRequest.HttpClientRequest,
  answer: BufferedResponse
): boolean => safety === "safe" && targetOf(request, answer) !== undefined

/** The answer at the end of the redirects. @category combinators @since 0.1.0 */
export const follow = <E>(options: {
  readonly client: HttpClient.HttpClient
  readonly first: HttpClientRequest.HttpClientRequest
  /** Puts on what every request to this origin carries. */
  readonly dress: (request: HttpClientRequest.HttpClientRequest) => HttpClientRequest.HttpClientRequest
  readonly safety: Safety
  readonly answer: Effect.Effect<BufferedResponse, E>
  readonly read: (response: HttpClientResponse.HttpClientResponse) => Effect.Effect<BufferedResponse, E>
}): Effect.Effect<BufferedResponse, E | HttpClientError.HttpClientError> =>
  hop(options, options.first, options.answer, limit)

const hop = <E>(
  options: Parameters<typeof follow<E>>[0],
  request: HttpClientRequest.HttpClientRequest,
  answer: Effect.Effect<BufferedResponse, E>,
  left: number
): Effect.Effect<BufferedResponse, E | HttpClientError.HttpClientError> =>
  Effect.flatMap(answer, (response) => {
    const target = options.safety === "safe" && left > 0 ? targetOf(request, response) : undefined
    if (target === undefined) return Effect.succeed(response)
    const next = moved(request, target, response.status)
    return hop(options, next, Effect.flatMap(options.client.execute(options.dress(next)), options.read), left - 1)
  })
