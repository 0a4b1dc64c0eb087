/**
 * One request and its answer as a simulated provider sees them: plain data, the same in memory and on a port. @since 0.1.0
 */
import type { Headers } from "@breakwater/core/Platform"
import type { Crash } from "./Fault.ts"

/** A request as it arrived, whole. @category models @since 0.1.0 */
export interface Received {
  readonly method: string
  /** Path and query, as in a request line. */
  readonly target: string
  readonly headers: Headers.Headers
  readonly body: Uint8Array
  /** An error that strikes inside the endpoint, set by the plan. */
  readonly crash?: Crash | undefined
}

/** An answer as the provider gives it, before the network does anything to it. @category models @since 0.1.0 */
export interface Answer {
  readonly status: number
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
  /** The pieces in which the endpoint streams the body, in place of `body`, which is empty. Default: it is sent whole. */
  readonly pieces?: ReadonlyArray<Uint8Array> | undefined
  /** Whether the endpoint began its work for this answer: it did not for a refused key, a spent rate, an unreadable request or a replay. */
  readonly executed: boolean
}

/** What a `FaultPlan` is asked about. @category models @since 0.1.0 */
export interface Exchange {
  /** Counted over all exchanges of a network, from 0. */
  readonly index: number
  /** Milliseconds since the network was made. */
  readonly at: number
  readonly provider: string
  /** `group.endpoint` of the declaration, such as `paymentIntents.create`; `unknown` for a path that it does not have. */
  readonly operation: string
  readonly method: string
  /** Without the query. */
  readonly path: string
  /** The idempotency key, where the operation takes one and the request has one. */
  readonly key: string | undefined
  /** What makes it the same exchange in another run, whatever its index: method, path and key. */
  readonly label: string
  /** Counted over the exchanges with this label, from 0. */
  readonly occurrence: number
}

const encoder = new TextEncoder()

/** An answer of JSON that the endpoint did not work for. @category constructors @since 0.1.0 */
export const json = (status: number, body: unknown, headers?: Readonly<Record<string, string>>): Answer => ({
  status,
  headers: { "content-type": "application/json", ...headers },
  body: encoder.encode(JSON.stringify(body)),
  executed: false
})

const decoder = new TextDecoder()

/** The body of a request or an answer as text, UTF-8. @category accessors @since 0.1.0 */
export const text = (message: Received | Answer): string => decoder.decode(message.body)

/** The path of a request, without its query. @category accessors @since 0.1.0 */
export const path = (request: Received): string => request.target.split("?", 1)[0] ?? ""
