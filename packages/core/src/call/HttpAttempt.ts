/**
 * One attempt over HTTP: the credential goes on, the request goes out, redirects that may be followed are, the body is read within its bound; then the answer is
 * read by the error table. @internal
 */
// The wire's errors are told apart in `classify`.
// @effect-diagnostics anyUnknownInErrorContext:off
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { constTrue } from "effect/Function"
import * as Option from "effect/Option"
import * as CredentialUse from "../policy/CredentialUse.ts"
import * as BodyRead from "../transport/BodyRead.ts"
import { BufferedResponse } from "../transport/BufferedResponse.ts"
import { isDirect } from "../transport/DirectClient.ts"
import * as Redirect from "../transport/Redirect.ts"
import * as RequestBody from "../transport/RequestBody.ts"
import type { HttpClientResponse } from "../vocabulary/Platform.ts"
import { FetchHttpClient, HttpClient, HttpClientRequest } from "../vocabulary/Platform.ts"
import * as AnswerReading from "./AnswerReading.ts"
import { memory } from "./AnswerMemory.ts"
import { DirectAttempt } from "./DirectAttempt.ts"
import { inHeader } from "./KeyPlace.ts"
import type { AttemptKind, RunningCall } from "./RunningCall.ts"

/** Our span is the attempt's, so the client makes none; and no client follows a redirect for us. */
const transportSettings = (context: Context.Context<never>): Context.Context<never> =>
  Context.add(Context.add(context, HttpClient.TracerDisabledWhen, constTrue), FetchHttpClient.RequestInit, {
    ...Context.getOrUndefined(context, FetchHttpClient.RequestInit),
    redirect: "manual"
  }) as Context.Context<never>

/** The headers of one attempt, names in lower case: the request's, ours, and the credential of now. */
const headersOf = (call: RunningCall, request: HttpClientRequest.HttpClientRequest): Record<string, string> => {
  const { attemptSpan, connection, credential, key, operation } = call
  const { auth, traceContext } = connection.options
  const agent = request.headers["user-agent"]
  const headers: Record<string, string> = { ...request.headers, ...connection.headers }
  if (agent !== undefined) headers["user-agent"] = agent
  headers["x-request-id"] = call.correlationId
  const { keys } = operation
  if (key !== undefined && keys?.header !== undefined) headers[keys.header.toLowerCase()] = inHeader(keys, key.key)
  if (traceContext === true && attemptSpan !== undefined)
    headers["traceparent"] = `00-${attemptSpan.traceId}-${attemptSpan.spanId}-${attemptSpan.sampled ? "01" : "00"}`
  if (auth !== undefined && credential !== undefined) Object.assign(headers, CredentialUse.headers(auth, credential))
  return headers
}

/** The request with the credential of now in its query, where the provider takes it there, and its body watched. */
const authorized = (
  call: RunningCall,
  request: HttpClientRequest.HttpClientRequest
): HttpClientRequest.HttpClientRequest => {
  const { auth } = call.connection.options
  const { credential } = call
  const watched = RequestBody.observed(request, call)
  return auth === undefined || credential === undefined ? watched : CredentialUse.inQuery(watched, auth, credential)
}

/** The request of one attempt: the same bytes as every other, with the credential of now. */
const dressed = (
  call: RunningCall,
  request: HttpClientRequest.HttpClientRequest
): HttpClientRequest.HttpClientRequest =>
  HttpClientRequest.setHeaders(authorized(call, request), headersOf(call, request))

const empty = new Uint8Array(0)

/** The announced length was the other side's word, so the bound is checked once more. */
const buffered = (
  call: RunningCall,
  request: HttpClientRequest.HttpClientRequest,
  source: HttpClientResponse.HttpClientResponse,
  body: Uint8Array<ArrayBuffer>
): Exit.Exit<BufferedResponse, BodyRead.BodyTooLarge> => {
  const limit = call.policy.maxBodyBytes
  return body.byteLength > limit
    ? Exit.fail(new BodyRead.BodyTooLarge({ limit, status: source.status }))
    : Exit.succeed(new BufferedResponse(request, source, body))
}

const readBody = (
  call: RunningCall,
  request: HttpClientRequest.HttpClientRequest,
  source: HttpClientResponse.HttpClientResponse
): Effect.Effect<BufferedResponse, unknown> => {
  call.heard()
  call.source = source
  if (BodyRead.isEmpty(request, source)) return Effect.succeed(new BufferedResponse(request, source, empty))
  if (call.body?.takes(source.status) === true) {
    call.body.open(source)
    return Effect.succeed(new BufferedResponse(request, source, empty))
  }
  return Effect.flatMap(BodyRead.read(source, call.policy.maxBodyBytes, call), (body) =>
    buffered(call, request, source, body)
  )
}

/** Hands on an answer, or follows where it points, as far as `Redirect` allows. */
const received = (
  call: RunningCall,
  client: HttpClient.HttpClient,
  request: HttpClientRequest.HttpClientRequest,
  response: HttpClientResponse.HttpClientResponse
): Effect.Effect<BufferedResponse, unknown> => {
  const answer = readBody(call, request, response)
  return response.status < 300 || response.status > 399 ? answer : followed(call, client, request, answer)
}

const followed = <E>(
  call: RunningCall,
  client: HttpClient.HttpClient,
  first: HttpClientRequest.HttpClientRequest,
  answer: Effect.Effect<BufferedResponse, E>
): Effect.Effect<BufferedResponse, unknown> =>
  Redirect.follow<unknown>({
    client,
    first,
    dress: (request) => dressed(call, request),
    safety: call.operation.safety,
    answer,
    read: (next) => readBody(call, first, next)
  })

const send = (call: RunningCall): Effect.Effect<BufferedResponse, unknown> => {
  const { client, request } = call
  if (client === undefined || request === undefined) return Effect.die(new Error("an HTTP attempt without a request"))
  const answer: Effect.Effect<BufferedResponse, unknown> = Effect.flatMap(
    Effect.suspend(() => client.execute(dressed(call, request))),
    (response) => received(call, client, request, response)
  )
  return Effect.updateContext(answer, transportSettings)
}

/** The whole exchange by a transport that calls back. */
const exchange: AttemptKind["exchange"] = (call, fiber, ended) => {
  const { client, clock, request } = call
  if (client === undefined || request === undefined || clock === undefined || !isDirect(client))
    throw new Error("an exchange without a client that calls back")
  return new DirectAttempt(call, {
    request: authorized(call, request),
    headers: headersOf(call, request),
    context: fiber.context,
    clock,
    ended
  }).start(client)
}

/** A redirect that may be followed is, through effects. */
const further: AttemptKind["further"] = (call, answer) => {
  const { client, request } = call
  const { safety } = call.operation
  if (!(answer instanceof BufferedResponse) || answer.status < 300 || answer.status > 399) return undefined
  if (client === undefined || request === undefined || !Redirect.isFollowed(safety, request, answer)) return undefined
  return Effect.updateContext(followed(call, client, request, Effect.succeed(answer)), transportSettings)
}

const classify: AttemptKind["classify"] = (call, exit, now) => {
  if (exit._tag === "Success") return AnswerReading.ofResponse(call, exit.value as BufferedResponse, now)
  return AnswerReading.ofFailure(call, Option.getOrUndefined(Cause.findErrorOption(exit.cause)), now)
}

/** Attempts of a plain `HttpClient`: whatever the last answer is, it is the result. @category kinds @since 0.1.0 */
export const plain: AttemptKind = {
  wire: send,
  exchange,
  further,
  classify,
  result: (call) => Exit.succeed(call.body?.isOpen === true ? call.body.response : call.answer),
  lastAnswer: (call) => call.answer,
  memory
}

/** Attempts of a declared operation, whose answers `decode` reads; `restore` reads one that was kept. @category kinds @since 0.1.0 */
export const declared = (
  decode: (call: RunningCall, response: BufferedResponse) => Effect.Effect<unknown, unknown>,
  restore?: AttemptKind["restore"]
): AttemptKind => ({
  wire: send,
  exchange,
  further,
  classify,
  result: (call) => decode(call, call.answer as BufferedResponse),
  memory,
  restore
})
