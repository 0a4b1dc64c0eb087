/**
 * An answer whose body is still on its way. @internal
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Inspectable from "effect/Inspectable"
import * as Option from "effect/Option"
import { pipeArguments } from "effect/Pipeable"
import type * as Pull from "effect/Pull"
import type * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import {
  type Cookies,
  type Headers,
  HttpClientError,
  HttpClientResponse,
  type HttpClientRequest,
  HttpIncomingMessage,
  type UrlParams
} from "../vocabulary/Platform.ts"
import { BufferedResponse } from "./BufferedResponse.ts"
import * as BodyRead from "./BodyRead.ts"
import type { Exchange } from "./UndiciExchange.node.ts"

type Read<A> = Effect.Effect<A, HttpClientError.HttpClientError>
type Pieces = readonly [Uint8Array, ...ReadonlyArray<Uint8Array>]

/** @category models @since 0.1.0 */
export class UndiciResponse extends Inspectable.Class implements HttpClientResponse.HttpClientResponse {
  readonly [HttpIncomingMessage.TypeId]: typeof HttpIncomingMessage.TypeId = HttpIncomingMessage.TypeId
  readonly [HttpClientResponse.TypeId]: typeof HttpClientResponse.TypeId = HttpClientResponse.TypeId
  readonly request: HttpClientRequest.HttpClientRequest
  readonly url: string
  readonly status: number
  readonly headers: Headers.Headers
  readonly remoteAddress: Option.Option<string> = Option.none()
  private readonly exchange: Exchange
  private kept: BufferedResponse | undefined = undefined
  private cookies_: Cookies.Cookies | undefined = undefined

  constructor(request: HttpClientRequest.HttpClientRequest, url: string, exchange: Exchange) {
    super()
    this.request = request
    this.url = url
    this.exchange = exchange
    this.status = exchange.status
    this.headers = exchange.headers
  }

  get cookies(): Cookies.Cookies {
    return (this.cookies_ ??= this.exchange.cookies)
  }

  get arrayBuffer(): Read<ArrayBuffer> {
    return Effect.flatMap(this.whole, (response) => response.arrayBuffer)
  }

  get text(): Read<string> {
    return Effect.flatMap(this.whole, (response) => response.text)
  }

  get json(): Read<Schema.Json> {
    return Effect.flatMap(this.whole, (response) => response.json)
  }

  get urlParamsBody(): Read<UrlParams.UrlParams> {
    return Effect.flatMap(this.whole, (response) => response.urlParamsBody)
  }

  get formData(): Read<FormData> {
    return Effect.flatMap(this.whole, (response) => response.formData)
  }

  get stream(): Stream.Stream<Uint8Array, HttpClientError.HttpClientError> {
    return Stream.suspend(() => {
      if (this.kept !== undefined) return this.kept.stream
      if (!this.exchange.claim()) return Stream.fail(this.unreadable(new Error("the body was read before")))
      return Stream.ensuring(
        Stream.fromPull(Effect.succeed(this.pull)),
        Effect.sync(() => this.exchange.abort())
      )
    })
  }

  get upgrade(): HttpClientResponse.HttpClientResponse["upgrade"] {
    return Effect.suspend(() =>
      Effect.fail(this.unreadable(new Error("this transport does not hand over connections")))
    )
  }

  toJSON(): unknown {
    return HttpIncomingMessage.inspect(this, {
      _id: "HttpClientResponse",
      request: this.request.toJSON(),
      status: this.status
    })
  }

  pipe() {
    return pipeArguments(this, arguments)
  }

  private get whole(): Read<BufferedResponse> {
    return Effect.suspend(() => (this.kept === undefined ? this.collected : Effect.succeed(this.kept)))
  }

  private get collected(): Read<BufferedResponse> {
    return Effect.callback((resume) => {
      if (!this.exchange.claim()) return resume(Effect.fail(this.unreadable(new Error("the body was read before"))))
      this.exchange.collect({
        limit: Number.POSITIVE_INFINITY,
        heard: () => undefined,
        collected: (pieces, length) => {
          this.kept = new BufferedResponse(this.request, this, BodyRead.joined(pieces, length))
          resume(Effect.succeed(this.kept))
        },
        failed: (error) => resume(Effect.fail(this.unreadable(error)))
      })
      return Effect.sync(() => this.exchange.abort())
    })
  }

  /** What has come of the body; waits until something has. */
  private readonly pull: Pull.Pull<Pieces, HttpClientError.HttpClientError> = Effect.suspend(() => {
    const pieces = this.exchange.take()
    if (pieces.length > 0) return Effect.succeed(pieces as Pieces)
    const { failure, phase } = this.exchange
    if (failure !== undefined) return Effect.fail(this.unreadable(failure))
    if (phase === "ended") return Cause.done()
    return Effect.flatMap(this.moved, () => this.pull)
  })

  private readonly moved: Effect.Effect<void> = Effect.callback((resume) => {
    this.exchange.await({ moved: () => resume(Effect.void) })
  })

  private unreadable(cause: Error): HttpClientError.HttpClientError {
    return new HttpClientError.HttpClientError({
      reason: new HttpClientError.DecodeError({ request: this.request, response: this, cause })
    })
  }
}
