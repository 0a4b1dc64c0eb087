/**
 * One exchange over undici's dispatch: a request out, an answer in. The body is either collected within a bound, or taken chunk by chunk; what nobody takes is
 * held up to a limit, and then the socket waits. @internal
 */
import type * as Undici from "undici"
import { Cookies, Headers } from "../vocabulary/Platform.ts"
import { BodyTooLarge } from "./BodyRead.ts"
import type { AnswerHead } from "./BufferedResponse.ts"

/** Bytes of a body that are held for a reader who takes them chunk by chunk; then the socket is paused. */
const highWaterMark = 64 * 1024

/** A body that is sent as it comes, to be destroyed when the exchange ends before it does. */
interface Destroyable {
  destroy(): void
}

/** The headers of an answer as undici gives them: names in lower case, a field that came several times as an array. */
type Fields = Record<string, string | ReadonlyArray<string> | undefined>

const headersPrototype = Object.getPrototypeOf(Headers.empty) as object

/** Those that came several times in one, with commas. */
const headersOf = (fields: Fields): Headers.Headers => {
  const headers = Object.create(headersPrototype) as Record<string, string>
  for (const name in fields) {
    const value = fields[name]
    if (value !== undefined) headers[name] = typeof value === "string" ? value : value.join(", ")
  }
  return headers as Headers.Headers
}

/** Who waits for an exchange. `moved` is called when the headers have come, when there is something to take, and when it has ended. @category models @since 0.1.0 */
export interface Waiter {
  moved(): void
  /** A piece of the request's body was sent. */
  heard?(): void
}

/** Who has a body collected: told of each piece, then of the end. @category models @since 0.1.0 */
export interface Collector {
  /** Longest body that is wanted, in bytes. */
  readonly limit: number
  heard(): void
  /** The body, in pieces that are of `length` bytes together. */
  collected(pieces: ReadonlyArray<Uint8Array<ArrayBuffer>>, length: number): void
  failed(error: Error): void
}

/** @category models @since 0.1.0 */
export type Phase = "sent" | "answered" | "ended" | "failed"

class Interrupted extends Error {
  readonly code = "ABORT_ERR"
  override readonly message = "the request was interrupted"
}

/** @category models @since 0.1.0 */
export class Exchange implements Undici.Dispatcher.DispatchHandler, AnswerHead {
  phase: Phase = "sent"
  status = 0
  /** Why it failed; `undefined` while it has not. */
  failure: Error | undefined = undefined
  private waiter: Waiter | undefined
  private fields: Fields = {}
  private headers_: Headers.Headers | undefined = undefined
  private collector: Collector | undefined = undefined
  private controller: Undici.Dispatcher.DispatchController | undefined = undefined
  private body: Destroyable | undefined = undefined
  private pieces: Array<Uint8Array<ArrayBuffer>> = []
  private held = 0
  private claimed = false

  constructor(waiter: Waiter) {
    this.waiter = waiter
  }

  get headers(): Headers.Headers {
    return (this.headers_ ??= headersOf(this.fields))
  }

  get cookies(): Cookies.Cookies {
    const field = this.fields["set-cookie"]
    return field === undefined ? Cookies.empty : Cookies.fromSetCookie(field)
  }

  /** Sends the request. A request that undici does not accept is an exchange that failed. */
  send(dispatcher: Undici.Dispatcher, options: Undici.Dispatcher.DispatchOptions): void {
    const { body } = options
    if (typeof body === "object" && body !== null && "destroy" in body) this.body = body
    try {
      dispatcher.dispatch(options, this)
    } catch (error) {
      this.fail(error instanceof Error ? error : new Error(String(error)))
    }
  }

  /** Ends it now, whatever its state: the socket is closed, unless the answer has come to its end. */
  abort(reason: Error = new Interrupted()): void {
    if (this.phase === "ended" || this.phase === "failed") return
    this.waiter = this.collector = undefined
    this.fail(reason)
    this.controller?.abort(reason)
  }

  /** Whether the body may be read: it is so once. */
  claim(): boolean {
    if (this.claimed) return false
    this.claimed = true
    return true
  }

  /** Has the body collected. Calls back at once if all of it is there. */
  collect(collector: Collector): void {
    this.collector = collector
    if (this.held > collector.limit) return this.tooLarge(collector)
    if (this.phase === "ended") collector.collected(this.pieces, this.held)
    else if (this.failure !== undefined) collector.failed(this.failure)
    else this.resume()
  }

  /** Takes what has come of the body since; empty when nothing has. */
  take(): ReadonlyArray<Uint8Array<ArrayBuffer>> {
    const { pieces } = this
    if (pieces.length === 0) return pieces
    this.pieces = []
    this.held = 0
    this.resume()
    return pieces
  }

  /** Whom to tell next. */
  await(waiter: Waiter): void {
    this.waiter = waiter
  }

  onRequestStart(controller: Undici.Dispatcher.DispatchController): void {
    this.controller = controller
    if (this.failure !== undefined) controller.abort(this.failure)
  }

  onBodySent(): void {
    this.waiter?.heard?.()
  }

  onResponseStart(_controller: Undici.Dispatcher.DispatchController, status: number, fields: Fields): void {
    // An informational answer announces another one (RFC 9110 §15.2).
    if (status < 200 || this.phase !== "sent") return
    this.status = status
    this.fields = fields
    this.phase = "answered"
    this.wake()
  }

  onResponseData(controller: Undici.Dispatcher.DispatchController, piece: Buffer): void {
    if (this.failure !== undefined) return
    this.pieces.push(piece as Uint8Array<ArrayBuffer>)
    this.held += piece.length
    const { collector } = this
    if (collector === undefined) {
      if (this.held >= highWaterMark) controller.pause()
      this.wake()
    } else if (this.held > collector.limit) {
      this.tooLarge(collector)
    } else {
      collector.heard()
    }
  }

  onResponseEnd(): void {
    if (this.failure !== undefined) return
    this.phase = "ended"
    this.body = undefined
    if (this.collector === undefined) this.wake()
    else this.collector.collected(this.pieces, this.held)
  }

  onResponseError(_controller: Undici.Dispatcher.DispatchController | null, error: Error): void {
    if (this.phase !== "ended" && this.phase !== "failed") this.fail(error)
  }

  private tooLarge(collector: Collector): void {
    this.abort(new BodyTooLarge({ limit: collector.limit, status: this.status }))
    if (this.failure !== undefined) collector.failed(this.failure)
    else collector.failed(new BodyTooLarge({ limit: collector.limit, status: this.status }))
  }

  private fail(error: Error): void {
    this.phase = "failed"
    this.failure = error
    this.pieces = []
    this.held = 0
    this.body?.destroy()
    this.body = undefined
    if (this.collector === undefined) this.wake()
    else this.collector.failed(error)
  }

  private resume(): void {
    if (this.controller?.paused === true) this.controller.resume()
  }

  private wake(): void {
    const { waiter } = this
    this.waiter = undefined
    waiter?.moved()
  }
}
