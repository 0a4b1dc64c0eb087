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
  const { body, headers, status } = answer
  const length = isBodiless(status) ? {} : { "content-length": String(body.length) }
  const chunks = body.length === 0 ? [] : [body]
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
  const bytes = Math.max(fault.bytes, answer.body.length)
  const length = fault.announced ? { "content-length": String(bytes) } : {}
  return answered(answer, {
    headers: { ...answer.headers, ...length },
    chunks: [answer.body, ...blanks(bytes - answer.body.length)]
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
    case "Truncated": {
      const kept = answer.body.subarray(0, Math.floor(answer.body.length * fault.share))
      return answered(answer, { chunks: kept.length === 0 ? [] : [kept], end: "reset" })
    }
    case "Trickle":
      return answered(answer, { chunks: inPieces(answer.body, fault.pieces), everyMillis: fault.millis })
    case "ContentType":
      return answered({ ...answer, headers: { ...answer.headers, "content-type": fault.type } })
    case "HugeHeaders":
      return answered({ ...answer, headers: { ...answer.headers, "x-padding": "x".repeat(fault.bytes) } })
    case "Drift":
      return answered(isJsonSuccess(answer) ? { ...answer, body: Drifts.apply(answer.body, fault) } : answer)
    case "Garbage":
      return answered({ ...answer, body: spoiled(answer.body) })
    case "Html":
      return answered({ ...answer, status: fault.status, headers: { "content-type": "text/html" }, body: page })
    case "Status": {
      const said = edge(fault.status)
      const hint = fault.hint === undefined ? {} : Hint.headers(fault.hint, now)
      return answered({ ...said, headers: { ...said.headers, ...hint } })
    }
    case "EmptyBody":
      return answered({ ...answer, body: nothing })
    case "HugeBody":
      return huge(answer, fault)
    case "ClockSkew":
      return undated({ ...options, fault: fault.fault })
  }
}
