/**
 * An `HttpClient` that answers from a script and remembers what was sent, when. The last step answers everything after it.
 */
import { Cause, Clock, Duration, Effect, Exit, Layer, Stream } from "effect"
import {
  HttpClient,
  HttpClientError,
  type HttpClientRequest,
  type HttpClientResponse,
  HttpServerResponse
} from "effect/http"
import { callingBack } from "./CallingBack.ts"

/** One request as it went out, in clear. */
export interface Sent {
  readonly at: number
  readonly method: string
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  /** The very bytes, for telling whether two attempts sent the same. */
  readonly bytes: Uint8Array | undefined
}

export type Step = (
  request: HttpClientRequest.HttpClientRequest
) => Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError>

export type Script = ReadonlyArray<Step> | ((n: number, sent: Sent) => Step)

export interface FakeTransport {
  readonly layer: Layer.Layer<HttpClient.HttpClient>
  readonly client: HttpClient.HttpClient
  readonly sent: ReadonlyArray<Sent>
  /** Exchanges that have begun and not ended. */
  readonly open: () => number
  /** Exchanges that ended by interruption. */
  readonly cut: () => number
}

type Headers = Readonly<Record<string, string>>

/** JSON with its `content-length`. */
export const json =
  (body: unknown, status = 200, headers: Headers = {}): Step =>
  (request) =>
    Effect.succeed(
      HttpServerResponse.toClientResponse(HttpServerResponse.jsonUnsafe(body, { status, headers }), { request })
    )

/** Text of any type, with its `content-length`. */
export const text =
  (body: string, status = 200, headers: Headers = {}): Step =>
  (request) =>
    Effect.succeed(HttpServerResponse.toClientResponse(HttpServerResponse.text(body, { status, headers }), { request }))

/** No body at all. */
export const empty =
  (status: number, headers: Headers = {}): Step =>
  (request) =>
    Effect.succeed(HttpServerResponse.toClientResponse(HttpServerResponse.empty({ status, headers }), { request }))

const encoder = new TextEncoder()
const nothing = new Uint8Array(0)

/** Part of a body: text, a pause in milliseconds or of any kind, or a failure of the system. */
export type Piece = string | number | Effect.Effect<void> | { readonly code: string }

/** A body in pieces, without an announced length. */
export const chunks =
  (pieces: ReadonlyArray<Piece>, status = 200, headers: Headers = {}): Step =>
  (request) => {
    const body = Stream.fromIterable(pieces).pipe(
      Stream.mapEffect((piece) => {
        if (typeof piece === "string") return Effect.succeed(encoder.encode(piece))
        if (typeof piece === "number") return Effect.as(Effect.sleep(Duration.millis(piece)), nothing)
        if (Effect.isEffect(piece)) return Effect.as(piece, nothing)
        return Effect.fail(systemError(piece.code))
      }),
      Stream.filter((bytes) => bytes.length > 0)
    )
    return Effect.succeed(
      HttpServerResponse.toClientResponse(
        HttpServerResponse.stream(body, { status, headers: { "content-type": "application/json", ...headers } }),
        { request }
      )
    )
  }

/** An error as Node makes it. */
export const systemError = (code: string, message = `something ${code}`): Error =>
  Object.assign(new Error(message), { code })

/** The exchange fails in the transport, with a code of the system. */
export const broken =
  (code: string, message?: string): Step =>
  (request) =>
    Effect.fail(
      new HttpClientError.HttpClientError({
        reason: new HttpClientError.TransportError({ request, cause: systemError(code, message) })
      })
    )

/** Nothing ever comes. */
export const silent: Step = () => Effect.never

/** The same, so many milliseconds later. */
export const late =
  (millis: number, step: Step): Step =>
  (request) =>
    Effect.delay(step(request), Duration.millis(millis))

const bytesOf = (request: HttpClientRequest.HttpClientRequest): Uint8Array | undefined =>
  request.body._tag === "Uint8Array" ? request.body.body : undefined

const sentOf = (request: HttpClientRequest.HttpClientRequest, url: URL, at: number): Sent => {
  const bytes = bytesOf(request)
  return {
    at,
    method: request.method,
    url: url.href,
    headers: { ...request.headers },
    body: bytes === undefined ? "" : new TextDecoder().decode(bytes),
    bytes
  }
}

/** How transports are made: as clients of effects, or as such that call back. */
export const way = { callsBack: false }

export const make = (script: Script): FakeTransport => {
  const sent: Array<Sent> = []
  let open = 0
  let cut = 0
  const stepOf = (n: number, each: Sent): Step => {
    if (typeof script === "function") return script(n, each)
    return script[Math.min(n, script.length) - 1] ?? silent
  }
  const made = HttpClient.make((request, url) =>
    Effect.suspend(() => {
      open++
      return Effect.flatMap(Clock.currentTimeMillis, (now) => {
        const each = sentOf(request, url, now)
        sent.push(each)
        return stepOf(sent.length, each)(request)
      })
    }).pipe(
      Effect.onExit((exit) =>
        Effect.sync(() => {
          open--
          if (Exit.isFailure(exit) && Cause.hasInterrupts(exit.cause)) cut++
        })
      )
    )
  )
  const client = way.callsBack ? callingBack(made) : made
  return { layer: Layer.succeed(HttpClient.HttpClient, client), client, sent, open: () => open, cut: () => cut }
}
