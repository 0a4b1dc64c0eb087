/**
 * Answers that are read as they come: a download is declared by its body, and its method gives a `Streamed` in a scope. What is not declared so is read whole, within
 * `maxBodyBytes`, before the call ends. @since 0.1.0
 */
import type * as Stream from "effect/Stream"
import type { Headers } from "../vocabulary/Platform.ts"
import { HttpApiSchema } from "../vocabulary/PlatformApi.ts"

/**
 * An answer whose body is on its way. The call has succeeded, and its attempt is over: what fails from here on fails in `stream`, and is not tried again.
 * **Details** The stream can be read once. Nothing of the body is taken that the reader does not ask for, so that a slow one slows the provider down. The connection, and its place in the
 * bulkhead, are given back when the stream ends, when its reader leaves, and when the scope of the call closes.
 * @category models @since 0.1.0
 */
export interface Streamed<out A, out E> {
  readonly status: number
  readonly headers: Headers.Headers
  /** `Content-Type` as it came. */
  readonly contentType: string | undefined
  /** Bytes that the provider announced; `undefined` where it did not, or where they come compressed. */
  readonly contentLength: number | undefined
  readonly stream: Stream.Stream<A, E>
}

/**
 * The success of an endpoint whose body is read as it comes: `success: Body.streaming()`. Bytes of any type; `contentType` is what OpenAPI and a simulated provider say of it, default
 * `application/octet-stream`. For lines of JSON, `HttpApiSchema.StreamNdjson` gives a `Streamed` of its items.
 * **Example** `HttpApiEndpoint.get("export", "/orders.csv", { success: Body.streaming({ contentType: "text/csv" }) })`
 * @category schemas @since 0.1.0
 */
export const streaming = (options?: { readonly contentType?: string | undefined }): HttpApiSchema.StreamUint8Array =>
  HttpApiSchema.StreamUint8Array(options)
