/**
 * An answer in memory, of which the body may end early or never: no promise is in it, so that its time is Effect's clock.
 * @internal
 */
import type { HttpClientRequest } from "@breakwater/core/Platform"
import {
  Cookies,
  Headers,
  HttpClientError,
  HttpClientResponse,
  HttpIncomingMessage,
  UrlParams
} from "@breakwater/core/Platform"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Inspectable from "effect/Inspectable"
import * as Option from "effect/Option"
import { pipeArguments } from "effect/Pipeable"
import type * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { Answered } from "./Wire.ts"

const decoder = new TextDecoder()

/** An error as Node's sockets give it: its `code` is what tells. @category constructors @since 0.1.0 */
export const systemError = (code: string): Error => Object.assign(new Error(code), { code })

type Failing<A> = Effect.Effect<A, HttpClientError.HttpClientError>

/** @category models @since 0.1.0 */
export class SimulatedResponse extends Inspectable.Class implements HttpClientResponse.HttpClientResponse {
  readonly [HttpIncomingMessage.TypeId]: typeof HttpIncomingMessage.TypeId = HttpIncomingMessage.TypeId
  readonly [HttpClientResponse.TypeId]: typeof HttpClientResponse.TypeId = HttpClientResponse.TypeId
  readonly request: HttpClientRequest.HttpClientRequest
  readonly url: string
  readonly headers: Headers.Headers
  private readonly wire: Answered

  constructor(request: HttpClientRequest.HttpClientRequest, url: string, wire: Answered) {
    super()
    this.request = request
    this.url = url
    this.wire = wire
    this.headers = Headers.fromInput(wire.headers)
  }

  get status(): number {
    return this.wire.status
  }

  get stream(): Stream.Stream<Uint8Array, HttpClientError.HttpClientError> {
    const chunks = this.chunks
    switch (this.wire.end) {
      case "complete":
        return chunks
      case "reset":
        return Stream.concat(
          chunks,
          Stream.fail(this.decodeError("the connection was reset", systemError("ECONNRESET")))
        )
      case "stall":
        return Stream.concat(chunks, Stream.never)
    }
  }

  private get chunks(): Stream.Stream<Uint8Array> {
    const { chunks, everyMillis } = this.wire
    // One at a time, as they would arrive.
    if (everyMillis === undefined) return Stream.fromIterable(chunks, { chunkSize: 1 })
    return Stream.mapEffect(Stream.fromIterable(chunks), (chunk) =>
      Effect.as(Effect.sleep(Duration.millis(everyMillis)), chunk)
    )
  }

  private get bytes(): Failing<Uint8Array> {
    return Stream.mkUint8Array(this.stream)
  }

  get arrayBuffer(): Failing<ArrayBuffer> {
    return Effect.map(this.bytes, (bytes) => Uint8Array.from(bytes).buffer)
  }

  get text(): Failing<string> {
    return Effect.map(this.bytes, (bytes) => decoder.decode(bytes))
  }

  get json(): Failing<Schema.Json> {
    return Effect.flatMap(this.text, (text) =>
      Effect.try({
        try: () => (text === "" ? null : (JSON.parse(text) as Schema.Json)),
        catch: (cause) => this.decodeError("body is not JSON", cause)
      })
    )
  }

  get urlParamsBody(): Failing<UrlParams.UrlParams> {
    return Effect.map(this.text, (text) => UrlParams.fromInput(new URLSearchParams(text)))
  }

  get formData(): Failing<FormData> {
    return Effect.suspend(() => Effect.fail(this.decodeError("a simulated answer is not a form")))
  }

  get upgrade(): HttpClientResponse.HttpClientResponse["upgrade"] {
    return Effect.suspend(() => Effect.fail(this.decodeError("a simulated answer has no connection to hand over")))
  }

  get cookies(): Cookies.Cookies {
    return Cookies.empty
  }

  get remoteAddress(): Option.Option<string> {
    return Option.none()
  }

  toJSON(): unknown {
    return { _id: "HttpClientResponse", status: this.status }
  }

  pipe() {
    return pipeArguments(this, arguments)
  }

  private decodeError(description: string, cause?: unknown): HttpClientError.HttpClientError {
    return new HttpClientError.HttpClientError({
      reason: new HttpClientError.DecodeError({ request: this.request, response: this, description, cause })
    })
  }
}
