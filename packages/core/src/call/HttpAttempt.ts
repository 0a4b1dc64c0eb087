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
import * as Redirect from "../transport/Redirect.ts"
import type { HttpClientResponse } from "../vocabulary/Platform.ts"
import { FetchHttpClient, HttpClient, HttpClientRequest } from "../vocabulary/Platform.ts"
import * as AnswerReading from "./AnswerReading.ts"
import type { AttemptKind, RunningCall } from "./RunningCall.ts"
import { currentCall, step } from "./RunningCall.ts"

/** Our span is the attempt's, so the client makes none; and no client follows a redirect for us. */
const transportSettings = (context: Context.Context<never>): Context.Context<never> =>
  Context.add(Context.add(context, HttpClient.TracerDisabledWhen, constTrue), FetchHttpClient.RequestInit, {
    ...Context.getOrUndefined(context, FetchHttpClient.RequestInit),
    redirect: "manual"
  }) as Context.Context<never>

const traceparent = (call: RunningCall): Record<string, string> => {
  const span = call.attemptSpan
  if (span === undefined || call.connection.options.traceContext !== true) return {}
  return { traceparent: `00-${span.traceId}-${span.spanId}-${span.sampled ? "01" : "00"}` }
}

const keyHeader = (call: RunningCall): Record<string, string> => {
  const header = call.operation.keys?.header
  return call.key === undefined || header === undefined ? {} : { [header.toLowerCase()]: call.key.key }
}

/** The request of one attempt: the same bytes as every other, with the credential of now. */
const dressed = (
  call: RunningCall,
  request: HttpClientRequest.HttpClientRequest
): HttpClientRequest.HttpClientRequest => {
  const { auth } = call.connection.options
  const { credential } = call
  const agent = request.headers["user-agent"]
  const headers = {
    ...call.connection.headers,
    ...(agent === undefined ? {} : { "user-agent": agent }),
    "x-request-id": call.correlationId,
    ...keyHeader(call),
    ...traceparent(call)
  }
  if (auth === undefined || credential === undefined) return HttpClientRequest.setHeaders(request, headers)
  return CredentialUse.inQuery(
    HttpClientRequest.setHeaders(request, { ...headers, ...CredentialUse.headers(auth, credential) }),
    auth,
    credential
  )
}

const empty = new Uint8Array(0)

/** The announced length was the other side's word, so the bound is checked once more. */
const buffered = (body: Uint8Array<ArrayBuffer>): Exit.Exit<BufferedResponse, BodyRead.BodyTooLarge> => {
  const { policy, request, source } = currentCall()
  if (request === undefined || source === undefined) throw new Error("a body without an answer")
  const limit = policy.maxBodyBytes
  return body.byteLength > limit
    ? Exit.fail(new BodyRead.BodyTooLarge({ limit, status: source.status }))
    : Exit.succeed(new BufferedResponse(request, source, body))
}

const readBody = (
  call: RunningCall,
  source: HttpClientResponse.HttpClientResponse
): Effect.Effect<BufferedResponse, unknown> => {
  call.heard()
  call.source = source
  const { request } = call
  if (request !== undefined && BodyRead.isEmpty(request, source))
    return Effect.succeed(new BufferedResponse(request, source, empty))
  return Effect.flatMap(BodyRead.read(source, call.policy.maxBodyBytes, call), buffered)
}

/** Hands on an answer, or follows where it points, as far as `Redirect` allows. */
const received = (response: HttpClientResponse.HttpClientResponse): Effect.Effect<BufferedResponse, unknown> => {
  const call = currentCall()
  const answer = readBody(call, response)
  if (response.status < 300 || response.status > 399 || call.client === undefined || call.request === undefined)
    return answer
  return Redirect.follow({
    client: call.client,
    first: call.request,
    dress: (request) => dressed(call, request),
    safety: call.operation.safety,
    answer,
    read: (next) => readBody(call, next)
  })
}

const send: Effect.Effect<BufferedResponse, unknown> = Effect.updateContext(
  step((call) => {
    const { client, request } = call
    if (client === undefined || request === undefined) return Effect.die(new Error("an HTTP attempt without a request"))
    return Effect.flatMap(client.execute(dressed(call, request)), received)
  }),
  transportSettings
)

const classify: AttemptKind["classify"] = (call, exit, now) => {
  if (exit._tag === "Success") return AnswerReading.ofResponse(call, exit.value as BufferedResponse, now)
  return AnswerReading.ofFailure(call, Option.getOrUndefined(Cause.findErrorOption(exit.cause)), now)
}

/** Attempts of a plain `HttpClient`: whatever the last answer is, it is the result. @category kinds @since 0.1.0 */
export const plain: AttemptKind = {
  wire: () => send,
  classify,
  result: (call) => Exit.succeed(call.answer),
  lastAnswer: (call) => call.answer
}

/** Attempts of a declared operation, whose answers `decode` reads. @category kinds @since 0.1.0 */
export const declared = (
  decode: (call: RunningCall, response: BufferedResponse) => Effect.Effect<unknown, unknown>
): AttemptKind => ({
  wire: () => send,
  classify,
  result: (call) => decode(call, call.answer as BufferedResponse)
})
