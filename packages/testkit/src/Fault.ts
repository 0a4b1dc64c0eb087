/**
 * What may go wrong between a client and a provider, as plain data. Each fault says at which phase of the exchange it strikes and whether the provider does its work
 * all the same: the faults that cost money are those in which it does and the client does not hear of it. @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Hint from "./Hint.ts"
import * as Latencies from "./Latency.ts"

/**
 * Where a fault strikes: `connection` before there is one, `request` on the way there, `work` inside the endpoint, `answer` on the way back, `body` after the headers of the
 * answer. @category models @since 0.1.0
 */
export type Phase = "none" | "connection" | "request" | "work" | "answer" | "body"

interface Common {
  /** For logs and plans. */
  readonly name: string
  readonly phase: Phase
  /** Whether the provider does what it was asked. */
  readonly processed: boolean
}

/** @category models @since 0.1.0 */
export interface None extends Common {
  readonly _tag: "None"
}
/** @category models @since 0.1.0 */
export interface Latency extends Common {
  readonly _tag: "Latency"
  readonly millis: number
}
/** @category models @since 0.1.0 */
export interface LatencyOf extends Common {
  readonly _tag: "LatencyOf"
  readonly latency: Latencies.Latency
  /** What it is drawn from outside a simulation. */
  readonly seed: number | string
}
/** @category models @since 0.1.0 */
export interface Refused extends Common {
  readonly _tag: "Refused"
}
/** @category models @since 0.1.0 */
export interface Unreachable extends Common {
  readonly _tag: "Unreachable"
  /** Of the system or of TLS. */
  readonly code: string
}
/** @category models @since 0.1.0 */
export interface ConnectBlackhole extends Common {
  readonly _tag: "ConnectBlackhole"
  /** When the client's transport gives up. */
  readonly millis: number
}
/** @category models @since 0.1.0 */
export interface ResetBefore extends Common {
  readonly _tag: "ResetBefore"
}
/** @category models @since 0.1.0 */
export interface LostResponse extends Common {
  readonly _tag: "LostResponse"
}
/** @category models @since 0.1.0 */
export interface Blackhole extends Common {
  readonly _tag: "Blackhole"
}
/** @category models @since 0.1.0 */
export interface Silence extends Common {
  readonly _tag: "Silence"
}
/** @category models @since 0.1.0 */
export interface Stalled extends Common {
  readonly _tag: "Stalled"
  /** Share of the body that arrives, from 0 to below 1. */
  readonly share: number
}
/** @category models @since 0.1.0 */
export interface Truncated extends Common {
  readonly _tag: "Truncated"
  /** Share of the body that arrives, from 0 to below 1. */
  readonly share: number
}
/** @category models @since 0.1.0 */
export interface Trickle extends Common {
  readonly _tag: "Trickle"
  readonly pieces: number
  /** Before each piece. */
  readonly millis: number
}
/** @category models @since 0.1.0 */
export interface ContentType extends Common {
  readonly _tag: "ContentType"
  readonly type: string
}
/** @category models @since 0.1.0 */
export interface HugeHeaders extends Common {
  readonly _tag: "HugeHeaders"
  readonly bytes: number
}
/** How an answer may differ from its declaration. @category models @since 0.1.0 */
export type DriftKind = "missing optional" | "null" | "widened enum" | "string for number" | "extra field"
/** @category models @since 0.1.0 */
export interface Drift extends Common {
  readonly _tag: "Drift"
  readonly kind: DriftKind
  /** Names of fields, `*` for the items of an array. Empty for the whole. */
  readonly path: ReadonlyArray<string>
}
/** @category models @since 0.1.0 */
export interface Garbage extends Common {
  readonly _tag: "Garbage"
}
/** @category models @since 0.1.0 */
export interface Html extends Common {
  readonly _tag: "Html"
  readonly status: number
}
/** @category models @since 0.1.0 */
export interface Status extends Common {
  readonly _tag: "Status"
  readonly status: number
  readonly hint: Hint.Hint | undefined
}
/** @category models @since 0.1.0 */
export interface Crash extends Common {
  readonly _tag: "Crash"
  readonly status: number
}
/** @category models @since 0.1.0 */
export interface EmptyBody extends Common {
  readonly _tag: "EmptyBody"
}
/** @category models @since 0.1.0 */
export interface HugeBody extends Common {
  readonly _tag: "HugeBody"
  readonly bytes: number
  /** Whether `Content-Length` tells the size beforehand. */
  readonly announced: boolean
}

/** @category models @since 0.1.0 */
export interface ClockSkew extends Common {
  readonly _tag: "ClockSkew"
  /** How far the provider's clock is ahead; negative where it is behind. */
  readonly millis: number
  /** What goes wrong beside it. */
  readonly fault: Exclude<Fault, ClockSkew>
}

/** @category models @since 0.1.0 */
export type Fault =
  | None
  | Latency
  | LatencyOf
  | Refused
  | Unreachable
  | ConnectBlackhole
  | ResetBefore
  | LostResponse
  | Blackhole
  | Silence
  | Stalled
  | Truncated
  | Trickle
  | ContentType
  | HugeHeaders
  | Drift
  | Garbage
  | Html
  | Status
  | Crash
  | EmptyBody
  | HugeBody
  | ClockSkew

/** Nothing goes wrong. @category constructors @since 0.1.0 */
export const none: Fault = { _tag: "None", name: "none", phase: "none", processed: true }

/** The answer comes so much later; the work is done at once. @category constructors @since 0.1.0 */
export const latency = (duration: Duration.Input): Fault => {
  const millis = Duration.toMillis(duration)
  return { _tag: "Latency", name: `latency ${millis} ms`, phase: "answer", processed: true, millis }
}

/**
 * The answer comes so much later as the distribution says. Each exchange draws for itself: in a simulation from the seed of the run, elsewhere from `seed`, default 0, its label and
 * its occurrence. @category constructors @since 0.1.0
 */
export const latencyOf = (
  latency: Latencies.Latency,
  options?: { readonly seed?: number | string | undefined }
): Fault => ({
  _tag: "LatencyOf",
  name: `latency ${Latencies.inWords(latency)}`,
  phase: "answer",
  processed: true,
  latency,
  seed: options?.seed ?? 0
})

/** Nobody listens: `ECONNREFUSED`. On a port, where a connection was taken already, a reset. @category constructors @since 0.1.0 */
export const refused: Fault = { _tag: "Refused", name: "refused", phase: "connection", processed: false }

/** The name cannot be resolved: `ENOTFOUND`, or `EAI_AGAIN` where asking again may help. On a port, where it was resolved already, a reset. @category constructors @since 0.1.0 */
export const dns = (code: "ENOTFOUND" | "EAI_AGAIN" = "ENOTFOUND"): Fault => unreachable(`DNS ${code}`, code)

/**
 * The certificate is refused, such as `CERT_HAS_EXPIRED`, `DEPTH_ZERO_SELF_SIGNED_CERT`, `ERR_TLS_CERT_ALTNAME_INVALID`. On a port, which speaks plain HTTP, a reset.
 * @category constructors @since 0.1.0
 */
export const tls = (code = "CERT_HAS_EXPIRED"): Fault => unreachable(`TLS ${code}`, code)

const unreachable = (name: string, code: string): Fault => ({
  _tag: "Unreachable",
  name,
  phase: "connection",
  processed: false,
  code
})

/**
 * No connection comes about, and the client's transport gives up after its connect timeout, default 2 seconds. On a port, where a connection was taken already, no answer.
 * @category constructors @since 0.1.0
 */
export const connectBlackhole = (connectTimeout: Duration.Input = "2 seconds"): Fault => ({
  _tag: "ConnectBlackhole",
  name: "connect blackhole",
  phase: "connection",
  processed: false,
  millis: Duration.toMillis(connectTimeout)
})

/** The connection breaks before the provider has read the request. @category constructors @since 0.1.0 */
export const resetBefore: Fault = { _tag: "ResetBefore", name: "reset before", phase: "request", processed: false }

/** The provider does its work, then the connection breaks: the lost response. @category constructors @since 0.1.0 */
export const lostResponse: Fault = { _tag: "LostResponse", name: "lost response", phase: "answer", processed: true }

interface Processed {
  /** Whether the provider does what it was asked. */
  readonly processed: boolean
}

const named = (name: string, processed: boolean): string => (processed ? `${name}, processed` : name)

/** No byte ever comes back, and the connection stays. Default: not processed. @category constructors @since 0.1.0 */
export const blackhole = (options: Processed = { processed: false }): Fault => ({
  _tag: "Blackhole",
  name: named("blackhole", options.processed),
  phase: options.processed ? "answer" : "request",
  processed: options.processed
})

/** The headers of the answer come, then nothing more. @category constructors @since 0.1.0 */
export const silence: Fault = { _tag: "Silence", name: "silence", phase: "body", processed: true }

const shareInRange = (of: string, share: number): number => {
  if (!(share >= 0 && share < 1)) throw new RangeError(`Fault.${of}: share must be from 0 to below 1, got ${share}`)
  return share
}

/** Nothing comes after this share of the body, and the connection stays. Throws a `RangeError` unless it is from 0 to below 1. @category constructors @since 0.1.0 */
export const stalled = (share = 0.5): Fault => ({
  _tag: "Stalled",
  name: `stalled after ${Math.round(share * 100)} %`,
  phase: "body",
  processed: true,
  share: shareInRange("stalled", share)
})

/** The connection breaks after this share of the body. Throws a `RangeError` unless it is from 0 to below 1. @category constructors @since 0.1.0 */
export const truncated = (share = 0.5): Fault => ({
  _tag: "Truncated",
  name: `truncated after ${Math.round(share * 100)} %`,
  phase: "body",
  processed: true,
  share: shareInRange("truncated", share)
})

/**
 * The body comes in so many pieces, or in its own where it is streamed, each after a while: slow, and never silent for long. Default 8 pieces, one a second. Throws a `RangeError` unless there is a piece.
 * @category constructors @since 0.1.0
 */
export const trickle = (options?: {
  readonly pieces?: number | undefined
  readonly every?: Duration.Input | undefined
}): Fault => {
  const pieces = options?.pieces ?? 8
  const millis = Duration.toMillis(options?.every ?? "1 second")
  if (!Number.isInteger(pieces) || pieces < 1)
    throw new RangeError(`Fault.trickle: pieces must be a whole number of at least 1, got ${pieces}`)
  return {
    _tag: "Trickle",
    name: `trickle of ${pieces} pieces, ${millis} ms each`,
    phase: "body",
    processed: true,
    pieces,
    millis
  }
}

/** The body as it is, under another type. Default `text/plain`. @category constructors @since 0.1.0 */
export const contentType = (type = "text/plain"): Fault => ({
  _tag: "ContentType",
  name: `content type ${type}`,
  phase: "body",
  processed: true,
  type
})

/** Headers of so many bytes more, which clients refuse: Node's from 16 KiB on. Default 32 KiB. @category constructors @since 0.1.0 */
export const hugeHeaders = (bytes = 32 * 1024): Fault => ({
  _tag: "HugeHeaders",
  name: `headers of ${bytes} bytes`,
  phase: "answer",
  processed: true,
  bytes
})

/**
 * One place of a successful answer's JSON is not as declared. `Drift.of` makes every one of an operation out of its response schema. @category constructors @since 0.1.0
 */
export const drift = (kind: DriftKind, path: ReadonlyArray<string>): Fault => ({
  _tag: "Drift",
  name: `drift: ${kind} at ${path.length === 0 ? "the top" : path.join(".")}`,
  phase: "body",
  processed: true,
  kind,
  path
})

/** The body is not JSON, whatever its type says. @category constructors @since 0.1.0 */
export const garbage: Fault = { _tag: "Garbage", name: "garbage", phase: "body", processed: true }

const statusInRange = (of: string, status: number): number => {
  if (!Number.isInteger(status) || status < 200 || status > 599)
    throw new RangeError(`Fault.${of}: status must be from 200 to 599, got ${status}`)
  return status
}

/** A page of a proxy in place of the answer. Default status 200. @category constructors @since 0.1.0 */
export const html = (status = 200): Fault => ({
  _tag: "Html",
  name: `HTML with status ${status}`,
  phase: "body",
  processed: true,
  status: statusInRange("html", status)
})

/** @category models @since 0.1.0 */
export interface StatusOptions {
  /** Whether the provider did its work before it gave this answer. Default false. */
  readonly processed?: boolean | undefined
  /** What the answer says about when to come back. Default nothing. */
  readonly hint?: Hint.Hint | undefined
}

/**
 * Something in front of the provider answers with this status, from 200 to 599, in the provider's own words. Nothing is stored under an idempotency key by it; for that see
 * `crash`. @category constructors @since 0.1.0
 */
export const status = (status: number, options?: StatusOptions): Fault => {
  const processed = options?.processed ?? false
  const hint = options?.hint
  const said = hint === undefined ? "" : ` with ${Hint.inWords(hint)}`
  return {
    _tag: "Status",
    name: named(`status ${statusInRange("status", status)}${said}`, processed),
    phase: processed ? "answer" : "request",
    processed,
    status,
    hint
  }
}

/** 429, nothing done. @category constructors @since 0.1.0 */
export const rateLimited = (hint?: Hint.Hint): Fault => status(429, { hint })

/**
 * The endpoint begins its work and breaks: an answer that a provider with idempotency keys remembers and repeats. `processed` says whether the work was done before it broke.
 * Default status 500, not processed. @category constructors @since 0.1.0
 */
export const crash = (options?: Partial<Processed> & { readonly status?: number | undefined }): Fault => {
  const processed = options?.processed ?? false
  const status = statusInRange("crash", options?.status ?? 500)
  return { _tag: "Crash", name: named(`crash ${status}`, processed), phase: "work", processed, status }
}

/** The right status and no body. @category constructors @since 0.1.0 */
export const emptyBody: Fault = { _tag: "EmptyBody", name: "empty body", phase: "body", processed: true }

/** The body, made longer with white space: valid JSON, too large to read. Default 16 MiB, announced. @category constructors @since 0.1.0 */
export const hugeBody = (options?: {
  readonly bytes?: number | undefined
  readonly announced?: boolean | undefined
}): Fault => {
  const bytes = options?.bytes ?? 16 * 1024 * 1024
  const announced = options?.announced ?? true
  return {
    _tag: "HugeBody",
    name: `body of ${bytes} bytes${announced ? "" : ", not announced"}`,
    phase: "body",
    processed: true,
    bytes,
    announced
  }
}

/**
 * The provider's clock is wrong for this exchange: whatever it says of time, such as `Date`, a `Retry-After` that is a date, a `created`, and whatever it decides by time, such as
 * the end of a key. `fault` goes wrong beside it, default none; of two skews the outer one holds. Throws a `RangeError` unless it is either ahead or behind. @category constructors @since 0.1.0
 */
export const clockSkew = (
  by: { readonly ahead?: Duration.Input | undefined; readonly behind?: Duration.Input | undefined },
  fault: Fault = none
): Fault => {
  if ((by.ahead === undefined) === (by.behind === undefined))
    throw new RangeError("Fault.clockSkew: the clock must be either ahead or behind")
  const millis = Duration.toMillis(by.ahead ?? Duration.zero) - Duration.toMillis(by.behind ?? Duration.zero)
  const where = `clock ${Math.abs(millis)} ms ${millis < 0 ? "behind" : "ahead"}`
  return {
    _tag: "ClockSkew",
    name: fault._tag === "None" ? where : `${fault.name}, ${where}`,
    phase: fault._tag === "None" ? "answer" : fault.phase,
    processed: fault.processed,
    millis,
    fault: besideClock(fault)
  }
}

/** What goes wrong beside the clock: the fault itself, where that is right. @category accessors @since 0.1.0 */
export const besideClock = (fault: Fault): Exclude<Fault, ClockSkew> =>
  fault._tag === "ClockSkew" ? fault.fault : fault
