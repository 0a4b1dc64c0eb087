/**
 * One attempt over a transport that calls back: the receiver of its exchange. What it costs beside the exchange is this object. @internal
 */
import type * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Exit from "effect/Exit"
import type { AnswerHead, BufferedResponse } from "../transport/BufferedResponse.ts"
import type { DirectClient, Exchanging, Receiver } from "../transport/DirectClient.ts"
import { TypeId } from "../transport/DirectClient.ts"
import type { HttpClientRequest } from "../vocabulary/Platform.ts"
import type { Ended, RunningCall } from "./RunningCall.ts"

/** @category models @since 0.1.0 */
export class DirectAttempt implements Receiver {
  readonly request: HttpClientRequest.HttpClientRequest
  readonly headers: Readonly<Record<string, string>>
  readonly limit: number
  readonly context: Context.Context<never>
  readonly clock: Clock.Clock
  private readonly call: RunningCall
  private readonly ended: Ended
  private exchange: Exchanging | undefined = undefined

  constructor(
    call: RunningCall,
    options: Pick<Receiver, "request" | "headers" | "context" | "clock"> & { readonly ended: Ended }
  ) {
    this.call = call
    this.request = options.request
    this.headers = options.headers
    this.limit = call.policy.maxBodyBytes
    this.context = options.context
    this.clock = options.clock
    this.ended = options.ended
  }

  start(client: DirectClient): Exchanging {
    return (this.exchange = client[TypeId](this))
  }

  heard(): void {
    this.call.heard()
  }

  received(response: BufferedResponse): void {
    this.call.source = response
    this.ended(Exit.succeed(response))
  }

  failed(error: unknown, head: AnswerHead | undefined): void {
    this.call.source = head
    this.ended(Exit.fail(error))
  }

  dueAt(): number {
    return this.call.timer.dueAt()
  }

  expire(now: number): boolean {
    const { call } = this
    call.expiry = call.timer.expired(now)
    if (call.expiry === undefined) return false
    this.exchange?.abort()
    this.ended(Exit.interrupt())
    return true
  }
}
