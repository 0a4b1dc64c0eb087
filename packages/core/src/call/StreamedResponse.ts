/**
 * An answer with a body that is read as it comes, for code that expects one of Effect's. Whoever asks for the whole of it gets it within the bound of bodies that are read whole. @internal
 */
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as BodyRead from "../transport/BodyRead.ts"
import { BufferedResponse } from "../transport/BufferedResponse.ts"
import type { HttpClientRequest, HttpClientResponse, UrlParams } from "../vocabulary/Platform.ts"
import { HttpClientError } from "../vocabulary/Platform.ts"
import type { ProviderError } from "../vocabulary/ProviderError.ts"

type Read<A> = Effect.Effect<A, HttpClientError.HttpClientError>

const nothing = new Uint8Array(0)

/** @category models @since 0.1.0 */
export class StreamedResponse extends BufferedResponse {
  private readonly body_: Stream.Stream<Uint8Array, ProviderError>
  private readonly limit: number
  private kept: BufferedResponse | undefined = undefined

  constructor(
    request: HttpClientRequest.HttpClientRequest,
    source: HttpClientResponse.HttpClientResponse,
    body: Stream.Stream<Uint8Array, ProviderError>,
    limit: number
  ) {
    super(request, source, nothing)
    this.body_ = body
    this.limit = limit
  }

  override get stream(): Stream.Stream<Uint8Array, HttpClientError.HttpClientError> {
    return Stream.suspend(() => this.kept?.stream ?? Stream.mapError(this.body_, (error) => this.failed(error)))
  }

  override get arrayBuffer(): Read<ArrayBuffer> {
    return Effect.flatMap(this.whole, (response) => response.arrayBuffer)
  }

  override get text(): Read<string> {
    return Effect.flatMap(this.whole, (response) => response.text)
  }

  override get json(): Read<Schema.Json> {
    return Effect.flatMap(this.whole, (response) => response.json)
  }

  override get urlParamsBody(): Read<UrlParams.UrlParams> {
    return Effect.flatMap(this.whole, (response) => response.urlParamsBody)
  }

  override get formData(): Read<FormData> {
    return Effect.flatMap(this.whole, (response) => response.formData)
  }

  private get whole(): Read<BufferedResponse> {
    return Effect.suspend(() => {
      if (this.kept !== undefined) return Effect.succeed(this.kept)
      const pieces: Array<Uint8Array<ArrayBuffer>> = []
      let length = 0
      const taken = Stream.runForEach(this.stream, (bytes) => {
        length += bytes.length
        if (length > this.limit) return Effect.fail(this.tooLarge)
        pieces.push(bytes as Uint8Array<ArrayBuffer>)
        return Effect.void
      })
      return Effect.map(
        taken,
        () => (this.kept = new BufferedResponse(this.request, this, BodyRead.joined(pieces, length)))
      )
    })
  }

  /** Our error as existing code expects one, as where no answer comes. */
  private failed(error: ProviderError): HttpClientError.HttpClientError {
    const { request } = this
    return new HttpClientError.HttpClientError({
      reason: new HttpClientError.TransportError({ request, cause: error, description: error.message })
    })
  }

  private get tooLarge(): HttpClientError.HttpClientError {
    const { limit, request, status } = this
    const cause = new BodyRead.BodyTooLarge({ limit, status })
    return new HttpClientError.HttpClientError({
      reason: new HttpClientError.DecodeError({ request, response: this, description: cause.message, cause })
    })
  }
}
