/**
 * What is kept of an answer over HTTP, and how it is read again: by the same error table and the same schemas as one that comes now, so that a replay is the value, the declared error or the fatal error
 * that the first call had. Kept are the status, the body, and the headers that reading it needs. @internal
 */
// What is read again fails with whatever its declaration says.
// @effect-diagnostics anyUnknownInErrorContext:off
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Predicate from "effect/Predicate"
import { BufferedResponse } from "../transport/BufferedResponse.ts"
import { isFatalReason } from "../vocabulary/FatalReason.ts"
import { Headers } from "../vocabulary/Platform.ts"
import * as CallErrors from "./CallErrors.ts"
import type { OutcomeMemory, RunningCall } from "./RunningCall.ts"

/** An answer as it is kept. */
interface Kept {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  /** The body, as text where it is UTF-8. */
  readonly text?: string
  readonly base64?: string
}

/** Characters of the headers of one answer that are kept. */
const maxHeaders = 8192

/** What an answer says of its moment, of its connection, or to its caller alone. */
const momentary =
  /^(?:set-cookie|date|age|connection|keep-alive|transfer-encoding|content-encoding|content-length|trailer|upgrade|server-timing|retry-after|.*ratelimit.*|.*rate-limit.*)$/u

const allHeaders = ({ headers }: BufferedResponse): Record<string, string> => {
  const kept: Record<string, string> = {}
  let left = maxHeaders
  for (const name in headers) {
    const value = headers[name]
    if (value === undefined || momentary.test(name)) continue
    left -= name.length + value.length
    if (left < 0) break
    kept[name] = value
  }
  return kept
}

/** Of a JSON body its type, and the id of the answer. A plain client, and a declaration that reads headers, may ask for any. */
const headersOf = (call: RunningCall, answer: BufferedResponse): Record<string, string> => {
  const { declared } = call.operation
  const kind = declared?.success.get(answer.status) ?? declared?.error.get(answer.status) ?? "json"
  if (declared === undefined || (kind !== "json" && kind !== "none")) return allHeaders(answer)
  const kept: Record<string, string> = {}
  for (const name of ["content-type", call.connection.requestIdHeader]) {
    const value = answer.headers[name]
    if (value !== undefined) kept[name] = value
  }
  return kept
}

const inBase64 = (bytes: Uint8Array): string => {
  let text = ""
  for (const byte of bytes) text += String.fromCharCode(byte)
  return btoa(text)
}

const replacement = "\uFFFD"

const keep: OutcomeMemory["keep"] = (call): Kept | undefined => {
  const { answer } = call
  // A body that is read as it comes has not come yet.
  if (!(answer instanceof BufferedResponse) || call.body?.isOpen === true) return undefined
  const head = { status: answer.status, headers: headersOf(call, answer) }
  const text = answer.content
  // A byte order mark is lost in the text, as are bytes that are no UTF-8.
  const isText = !text.includes(replacement) && answer.bytes[0] !== 0xef
  return isText ? { ...head, text } : { ...head, base64: inBase64(answer.bytes) }
}

const encoder = new TextEncoder()

const bytesOf = (kept: object) => {
  if (Predicate.hasProperty(kept, "text") && Predicate.isString(kept.text)) return encoder.encode(kept.text)
  if (!Predicate.hasProperty(kept, "base64") || !Predicate.isString(kept.base64)) return undefined
  return Uint8Array.from(atob(kept.base64), (each) => each.charCodeAt(0))
}

const answerOf = ({ request }: RunningCall, kept: unknown): BufferedResponse | undefined => {
  if (request === undefined || !Predicate.hasProperty(kept, "status") || !Predicate.isNumber(kept.status))
    return undefined
  if (!Predicate.hasProperty(kept, "headers") || !Predicate.isObject(kept.headers)) return undefined
  const bytes = bytesOf(kept)
  const headers = Headers.fromInput(kept.headers as Record<string, string>)
  return bytes === undefined ? undefined : new BufferedResponse(request, { status: kept.status, headers }, bytes)
}

const recall: OutcomeMemory["recall"] = (call, kept) => {
  const answer = answerOf(call, kept)
  if (answer === undefined) return undefined
  const exit = Exit.succeed(answer)
  const failure = call.kind.classify(call, exit, call.now)
  if (failure === undefined) return call.kind.result(call, exit)
  call.lastFailure = failure
  const last = call.kind.lastAnswer?.(call)
  if (!isFatalReason(failure.reason)) return undefined
  const error = CallErrors.fatal(call, failure, failure.reason, call.now)
  if (last === undefined) return Effect.fail(error)
  call.handedOn = error
  return Effect.succeed(last)
}

/** Remembers answers. @category kinds @since 0.1.0 */
export const memory: OutcomeMemory = { keep, recall, isFinal: () => true }
