/**
 * What the client meets on the wire, given what the provider answered and which fault struck: one pure function, so that a port and an in-memory client misbehave alike.
 * @since 0.1.0
 */
import * as Drifts from "./Drift.ts"
import type { Answer } from "./Exchange.ts"
import type { Fault, HugeBody } from "./Fault.ts"
import * as Hint from "./Hint.ts"

/** @category models @since 0.1.0 */
export type Wire =
  /** No connection: the client's transport gives up after so long. */
  | { readonly _tag: "Unconnected"; readonly millis: number }
  /** The exchange breaks with an error of the system, such as `ECONNRESET`. */
  | { readonly _tag: "Broken"; readonly code: string }
  /** Nothing comes back. */
  | { readonly _tag: "Silent" }
  | Answered

/** An answer, or the beginning of one. @category models @since 0.1.0 */
export interface Answered {
  readonly _tag: "Answered"
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly chunks: ReadonlyArray<Uint8Array>
  /** Milliseconds before each chunk. Default 0. */
  readonly everyMillis?: number | undefined
  /** What follows the last chunk. `Content-Length`, where it is sent, is that of the whole body all the same. */
  readonly end: "complete" | "reset" | "stall"
}

const encoder = new TextEncoder()
const nothing = new Uint8Array(0)
const broken = (code: string): Wire => ({ _tag: "Broken", code })

const isBodiless = (status: number): boolean => status === 204 || status === 205 || status === 304

const answered = (
  answer: Answer,
  change?: Partial<Pick<Answered, "chunks" | "end" | "headers" | "everyMillis">>
): Answered => {
  const { body, headers, pieces, status } = answer
  const length = isBodiless(status) || pieces !== undefined ? {} : { "content-length": String(body.length) }
  const chunks = pieces ?? (body.length === 0 ? [] : [body])
  return { _tag: "Answered", status, headers: { ...headers, ...length }, chunks, end: "complete", ...change }
}

/** The body of JSON cut short and ended wrongly, so that no parser takes it. */
const spoiled = (body: Uint8Array): Uint8Array => {
  const kept = body.subarray(0, Math.max(0, body.length - 1))
  return concat([kept, encoder.encode(',"}')])
}

const concat = (parts: ReadonlyArray<Uint8Array>): Uint8Array => {
  const joined = new Uint8Array(parts.reduce((length, part) => length + part.length, 0))
  let offset = 0
  for (const part of parts) {
    joined.set(part, offset)
    offset += part.length
  }
  return joined
}

const isJsonSuccess = ({ body, headers, status }: Answer): boolean =>
  status < 300 && body.length > 0 && headers["content-type"]?.startsWith("application/json") === true

/** A body in so many pieces of about the same length, fewer if it has fewer bytes. */
const inPieces = (body: Uint8Array, pieces: number): ReadonlyArray<Uint8Array> => {
  const size = Math.max(1, Math.ceil(body.length / pieces))
  return Array.from({ length: Math.ceil(body.length / size) }, (_, index) =>
    body.subarray(index * size, (index + 1) * size)
  )
}

/** What arrives of a body of which this share does. */
const beginning = ({ body, pieces = [body] }: Answer, share: number): ReadonlyArray<Uint8Array> => {
  const kept: Array<Uint8Array> = []
  let left = Math.floor(pieces.reduce((length, piece) => length + piece.length, 0) * share)
  for (const piece of pieces) {
    if (left <= 0) break
    kept.push(piece.subarray(0, left))
    left -= piece.length
  }
  return kept
}

/** The answer with a body that is sent whole. */
const withBody = ({ pieces: _, ...answer }: Answer, body: Uint8Array): Answer => ({ ...answer, body })

const page = encoder.encode(
  "<!doctype html><html><head><title>Bad Gateway</title></head><body><h1>Bad Gateway</h1></body></html>\n"
)

const blankChunk = encoder.encode(" ".repeat(64 * 1024))

/** White space to follow a body, as one chunk many times over: a huge body takes no memory here. */
const blanks = (bytes: number): ReadonlyArray<Uint8Array> => {
  const whole = Math.floor(bytes / blankChunk.length)
  const rest = bytes % blankChunk.length
  return [...Array.from({ length: whole }, () => blankChunk), ...(rest === 0 ? [] : [blankChunk.subarray(0, rest)])]
}

const huge = (answer: Answer, fault: HugeBody): Answered => {
  const { body, pieces = [body] } = answer
  const whole = pieces.reduce((length, piece) => length + piece.length, 0)
  const bytes = Math.max(fault.bytes, whole)
  const length = fault.announced ? { "content-length": String(bytes) } : {}
  return answered(answer, {
    headers: { ...answer.headers, ...length },
    chunks: [...pieces, ...blanks(bytes - whole)]
  })
}

/** @category models @since 0.1.0 */
export interface Options {
  readonly fault: Fault
  /** What the provider answered; `undefined` if it was not asked. */
  readonly answer: Answer | undefined
  /** What stands in front of the provider answers, in the provider's words. */
  readonly edge: (status: number) => Answer
  /** Milliseconds since the epoch, by the provider's clock. */
  readonly now: number
}

/** What the client meets. An answer tells its date, as every server with a clock does (RFC 9110 §6.6.1). @category constructors @since 0.1.0 */
export const of = (options: Options): Wire => {
  const wire = undated(options)
  if (wire._tag !== "Answered" || wire.headers["date"] !== undefined) return wire
  return { ...wire, headers: { ...wire.headers, date: Hint.httpDateOf(options.now) } }
}

const undated = (options: Options): Wire => {
  const { edge, fault, now } = options
  const answer = options.answer ?? edge(502)
  switch (fault._tag) {
    case "None":
    case "Latency":
    case "LatencyOf":
    case "Crash":
      return answered(answer)
    case "Refused":
      return broken("ECONNREFUSED")
    case "Unreachable":
      return broken(fault.code)
    case "ConnectBlackhole":
      return { _tag: "Unconnected", millis: fault.millis }
    case "ResetBefore":
    case "LostResponse":
      return broken("ECONNRESET")
    case "Blackhole":
      return { _tag: "Silent" }
    case "Silence":
      return answered(answer, { chunks: [], end: "stall" })
    case "Stalled":
      return answered(answer, { chunks: beginning(answer, fault.share), end: "stall" })
    case "Truncated":
      return answered(answer, { chunks: beginning(answer, fault.share), end: "reset" })
    case "Trickle": {
      const chunks = answer.pieces ?? inPieces(answer.body, fault.pieces)
      return answered(answer, { chunks, everyMillis: fault.millis })
    }
    case "ContentType":
      return answered({ ...answer, headers: { ...answer.headers, "content-type": fault.type } })
    case "HugeHeaders":
      return answered({ ...answer, headers: { ...answer.headers, "x-padding": "x".repeat(fault.bytes) } })
    case "Drift":
      return answered(isJsonSuccess(answer) ? { ...answer, body: Drifts.apply(answer.body, fault) } : answer)
    case "Garbage":
      return answered(withBody(answer, spoiled(answer.body)))
    case "Html":
      return answered({
        ...withBody(answer, page),
        status: fault.status,
        headers: { "content-type": "text/html" }
      })
    case "Status": {
      const said = edge(fault.status)
      const hint = fault.hint === undefined ? {} : Hint.headers(fault.hint, now)
      return answered({ ...said, headers: { ...said.headers, ...hint } })
    }
    case "EmptyBody":
      return answered(withBody(answer, nothing))
    case "HugeBody":
      return huge(answer, fault)
    case "ClockSkew":
      return undated({ ...options, fault: fault.fault })
  }
}
