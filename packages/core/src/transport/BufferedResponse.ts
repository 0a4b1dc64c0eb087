/**
 * An answer whose body was read, within bounds, inside the attempt: a reset in the middle was a failed attempt, the connection is back in its pool, and
 * whoever reads the body again reads memory. @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Inspectable from "effect/Inspectable"
import * as Option from "effect/Option"
import { pipeArguments } from "effect/Pipeable"
import type * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { Headers } from "../vocabulary/Platform.ts"
import { Cookies, HttpClientError, HttpClientResponse, HttpIncomingMessage, UrlParams } from "../vocabulary/Platform.ts"
import type { HttpClientRequest } from "../vocabulary/Platform.ts"

const decoder = new TextDecoder()

/** What the body is as JSON: read once, for the error table and the schema alike. @category models @since 0.1.0 */
export type Parsed =
  | { readonly _tag: "Json"; readonly value: unknown }
  | { readonly _tag: "NotJson" }
  | { readonly _tag: "Empty" }

const empty: Parsed = { _tag: "Empty" }
const notJson: Parsed = { _tag: "NotJson" }

/** What of an answer is known before its body. @category models @since 0.1.0 */
export interface AnswerHead {
  readonly status: number
  readonly headers: Headers.Headers
  readonly cookies?: Cookies.Cookies
  readonly remoteAddress?: Option.Option<string>
}

/** @category models @since 0.1.0 */
export class BufferedResponse extends Inspectable.Class implements HttpClientResponse.HttpClientResponse {
  readonly [HttpIncomingMessage.TypeId]: typeof HttpIncomingMessage.TypeId = HttpIncomingMessage.TypeId
  readonly [HttpClientResponse.TypeId]: typeof HttpClientResponse.TypeId = HttpClientResponse.TypeId
  readonly request: HttpClientRequest.HttpClientRequest
  readonly url: string
  readonly status: number
  readonly headers: Headers.Headers
  readonly bytes: Uint8Array<ArrayBuffer>
  /** What the schema made of the body, when the pipeline has decoded it. */
  decoded: Exit.Exit<unknown, unknown> | undefined = undefined
  private body: string | undefined
  private json_: Parsed | undefined
  private readonly head: AnswerHead

  /** `parsed` is the body as JSON where that is known already. */
  constructor(
    request: HttpClientRequest.HttpClientRequest,
    head: AnswerHead,
    bytes: Uint8Array<ArrayBuffer>,
    parsed?: Parsed
  ) {
    super()
    this.request = request
    this.status = head.status
    this.headers = head.headers
    this.bytes = bytes
    this.json_ = parsed
    this.head = head
    this.url = request.url
  }

  /** The same answer, for who has declared that there is no body to be read. */
  withoutBody(): BufferedResponse {
    return this.bytes.length === 0 ? this : new BufferedResponse(this.request, this, new Uint8Array(0))
  }

  /** The body as text, UTF-8. */
  get content(): string {
    return (this.body ??= decoder.decode(this.bytes))
  }

  get parsed(): Parsed {
    return (this.json_ ??= this.parse())
  }

  private parse(): Parsed {
    if (this.bytes.length === 0) return empty
    try {
      return { _tag: "Json", value: JSON.parse(this.content) }
    } catch {
      return notJson
    }
  }

  toJSON(): unknown {
    return { _id: "HttpClientResponse", status: this.status, bodyBytes: this.bytes.length }
  }

  get cookies(): Cookies.Cookies {
    return this.head.cookies ?? Cookies.empty
  }

  get remoteAddress(): Option.Option<string> {
    return this.head.remoteAddress ?? Option.none()
  }

  get arrayBuffer(): Effect.Effect<ArrayBuffer, HttpClientError.HttpClientError> {
    const { buffer, byteLength, byteOffset } = this.bytes
    return Exit.succeed(byteLength === buffer.byteLength ? buffer : buffer.slice(byteOffset, byteOffset + byteLength))
  }

  get text(): Effect.Effect<string, HttpClientError.HttpClientError> {
    return Exit.succeed(this.content)
  }

  get json(): Effect.Effect<Schema.Json, HttpClientError.HttpClientError> {
    const parsed = this.parsed
    if (parsed._tag === "Json") return Exit.succeed(parsed.value as Schema.Json)
    return parsed._tag === "Empty" ? Exit.succeed(null) : this.undecodable("body is not JSON")
  }

  get stream(): Stream.Stream<Uint8Array, HttpClientError.HttpClientError> {
    return this.bytes.length === 0 ? Stream.empty : Stream.succeed(this.bytes)
  }

  get urlParamsBody(): Effect.Effect<UrlParams.UrlParams, HttpClientError.HttpClientError> {
    return Effect.sync(() => UrlParams.fromInput(new URLSearchParams(this.content)))
  }

  get formData(): Effect.Effect<FormData, HttpClientError.HttpClientError> {
    return Effect.tryPromise({
      try: () => new Response(this.bytes, { headers: this.headers as Record<string, string> }).formData(),
      catch: (cause) => this.decodeError("body is not a form", cause)
    })
  }

  get upgrade(): HttpClientResponse.HttpClientResponse["upgrade"] {
    return this.undecodable("a protected call cannot hand over its connection")
  }

  pipe() {
    return pipeArguments(this, arguments)
  }

  private decodeError(description: string, cause?: unknown): HttpClientError.HttpClientError {
    return new HttpClientError.HttpClientError({
      reason: new HttpClientError.DecodeError({ request: this.request, response: this, description, cause })
    })
  }

  private undecodable(description: string): Effect.Effect<never, HttpClientError.HttpClientError> {
    return Effect.suspend(() => Effect.fail(this.decodeError(description)))
  }
}
