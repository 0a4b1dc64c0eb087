/**
 * Reads a body inside the attempt, never more than the limit. A short one whose length is announced is read at once; any other chunk by chunk, so that
 * each chunk starts the silence anew and a body without end is cut off. @since 0.1.0
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { AnswerHead } from "./BufferedResponse.ts"
import type { HttpClientError, HttpClientRequest, HttpClientResponse } from "../vocabulary/Platform.ts"

/** The body is larger than the policy's `maxBodyBytes`. @category errors @since 0.1.0 */
export class BodyTooLarge extends Data.TaggedError("@breakwater/core/BodyRead/BodyTooLarge")<{
  readonly limit: number
  readonly status: number
}> {
  override readonly message = `body larger than ${this.limit} bytes`
}

/** A body of at most this many bytes, announced by `Content-Length`, must arrive within one silence timeout. @category constants @since 0.1.0 */
export const readAtOnce = 64 * 1024

const isBodiless = (method: string, status: number): boolean =>
  method === "HEAD" || status === 204 || status === 205 || status === 304

/** `Content-Length`, where it is one. @category parsers @since 0.1.0 */
export const announcedLength = (header: string | undefined): number | undefined =>
  header !== undefined && /^\d{1,15}$/u.test(header) ? Number(header) : undefined

/** The pieces of a body in one, of `length` bytes together; a single piece as it is. @category constructors @since 0.1.0 */
export const joined = (chunks: ReadonlyArray<Uint8Array<ArrayBuffer>>, length: number): Uint8Array<ArrayBuffer> => {
  const [only] = chunks
  if (only !== undefined && chunks.length === 1) return only
  const bytes = new Uint8Array(length)
  let offset = 0
  for (const chunk of chunks) {
    bytes.set(chunk, offset)
    offset += chunk.length
  }
  return bytes
}

/** Whoever is told of each chunk. @category models @since 0.1.0 */
export interface Listener {
  heard(): void
}

/** Whether the body is known to be empty, whatever the headers say. @category guards @since 0.1.0 */
export const isEmpty = (
  request: HttpClientRequest.HttpClientRequest,
  source: HttpClientResponse.HttpClientResponse
): boolean => isBodiless(request.method, source.status)

/** Whether a body is announced to be longer than the limit. @category guards @since 0.1.0 */
export const isTooLong = (method: string, head: AnswerHead, limit: number): boolean => {
  const announced = announcedLength(head.headers["content-length"])
  return announced !== undefined && announced > limit && !isBodiless(method, head.status)
}

/** The bytes of a body: at once if it is short, its length is announced and it is not compressed, else chunk by chunk. @category constructors @since 0.1.0 */
export const read = (
  source: HttpClientResponse.HttpClientResponse,
  limit: number,
  listener: Listener
): Effect.Effect<Uint8Array<ArrayBuffer>, HttpClientError.HttpClientError | BodyTooLarge> => {
  const announced = announcedLength(source.headers["content-length"])
  if (announced !== undefined && announced > limit)
    return Effect.andThen(cutOff(source), Effect.fail(new BodyTooLarge({ limit, status: source.status })))
  const isShort = announced !== undefined && announced <= readAtOnce
  return isShort && source.headers["content-encoding"] === undefined
    ? Effect.map(source.arrayBuffer, (buffer) => new Uint8Array(buffer))
    : readChunks(source, limit, listener)
}

/** Opens a body and closes it at once: a connection whose body nobody reads would wait for a reader. @category combinators @since 0.1.0 */
export const cutOff = (source: HttpClientResponse.HttpClientResponse): Effect.Effect<void> =>
  Effect.asVoid(Effect.exit(Effect.scoped(Stream.toPull(source.stream))))

const readChunks = (source: HttpClientResponse.HttpClientResponse, limit: number, listener: Listener) =>
  Effect.suspend(() => {
    const chunks: Array<Uint8Array<ArrayBuffer>> = []
    let length = 0
    const chunk = (bytes: Uint8Array) => {
      length += bytes.length
      if (length > limit) return Effect.fail(new BodyTooLarge({ limit, status: source.status }))
      listener.heard()
      chunks.push(bytes as Uint8Array<ArrayBuffer>)
      return Effect.void
    }
    return Effect.map(Stream.runForEach(emptyBodyIsEmpty(source.stream), chunk), () => joined(chunks, length))
  })

/** Some transports fail with `EmptyBodyError` where others give a stream without elements. @category combinators @since 0.1.0 */
export const emptyBodyIsEmpty = (stream: Stream.Stream<Uint8Array, HttpClientError.HttpClientError>) =>
  Stream.catchIf(
    stream,
    (error) => error.reason._tag === "EmptyBodyError",
    () => Stream.empty
  )
