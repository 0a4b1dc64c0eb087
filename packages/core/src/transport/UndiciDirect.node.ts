/**
 * Whole exchanges over undici by calling back: the fast path of the pipeline. @internal
 */
import type * as Clock from "effect/Clock"
import type * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import type * as Undici from "undici"
import type { HttpClientRequest } from "../vocabulary/Platform.ts"
import { HttpClientError } from "../vocabulary/Platform.ts"
import * as BodyRead from "./BodyRead.ts"
import { BufferedResponse } from "./BufferedResponse.ts"
import type { Exchanging, Receiver } from "./DirectClient.ts"
import { DueList } from "./DueList.ts"
import * as UndiciBody from "./UndiciBody.node.ts"
import type { Collector, Waiter } from "./UndiciExchange.node.ts"
import { Exchange } from "./UndiciExchange.node.ts"

/** Sends an exchange to a URL, by a proxy where it must. @category models @since 0.1.0 */
export type Dispatch = (
  exchange: Exchange,
  target: Target,
  method: string,
  headers: Readonly<Record<string, string>>,
  body: UndiciBody.Sent["body"]
) => void

/** Where a request goes. */
interface Target {
  readonly origin: string
  /** Path and query. */
  readonly path: string
}

/** URLs that a URL parser would leave as they are, but for a host in capitals and a default port, which name the same. */
const plain = /^https?:\/\/[\w.-]+(?::\d+)?(?=\/)(?:\/[\w!$&'()*+,;=:@~%-][\w.!$&'()*+,;=:@~%-]*)*\/?$/u

/** Where a request goes, or `undefined` for what is no URL. */
const targetOf = ({ url, urlParams }: HttpClientRequest.HttpClientRequest): Target | undefined => {
  if (urlParams.params.length === 0 && plain.test(url)) {
    const start = url.indexOf("/", 8)
    return { origin: url.slice(0, start), path: url.slice(start) }
  }
  if (!URL.canParse(url)) return undefined
  const parsed = new URL(url)
  for (const [name, value] of urlParams.params)
    parsed.searchParams.append(name, Redacted.isRedacted(value) ? Redacted.value(value) : value)
  return { origin: parsed.origin, path: parsed.pathname + parsed.search }
}

class DirectExchange implements Collector, Waiter, Exchanging {
  readonly exchange: Exchange
  readonly limit: number
  private readonly receiver: Receiver
  private readonly dues: DueList

  constructor(receiver: Receiver, dues: DueList) {
    this.receiver = receiver
    this.limit = receiver.limit
    this.dues = dues
    this.exchange = new Exchange(this)
    dues.add(receiver)
  }

  /** The headers have come, or it has failed. */
  moved(): void {
    const { exchange, receiver } = this
    if (exchange.failure !== undefined) return this.failed(exchange.failure)
    receiver.heard()
    if (BodyRead.isTooLong(receiver.request.method, exchange, this.limit)) {
      exchange.abort()
      this.failed(new BodyRead.BodyTooLarge({ limit: this.limit, status: exchange.status }))
    } else exchange.collect(this)
  }

  heard(): void {
    this.receiver.heard()
  }

  collected(pieces: ReadonlyArray<Uint8Array<ArrayBuffer>>, length: number): void {
    this.dues.delete(this.receiver)
    this.receiver.received(new BufferedResponse(this.receiver.request, this.exchange, BodyRead.joined(pieces, length)))
  }

  failed(error: unknown): void {
    this.dues.delete(this.receiver)
    this.receiver.failed(error, this.exchange.status === 0 ? undefined : this.exchange)
  }

  abort(): void {
    this.dues.delete(this.receiver)
    this.exchange.abort()
  }
}

/** @category models @since 0.1.0 */
export class DirectExchanges {
  private readonly undici: typeof Undici
  private readonly dispatch: Dispatch
  private readonly fork: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
  /** One for each clock: as a rule there is one. */
  private lists: ReadonlyArray<DueList> = []

  constructor(undici: typeof Undici, dispatch: Dispatch, fork: (effect: Effect.Effect<void>) => Fiber.Fiber<void>) {
    this.undici = undici
    this.dispatch = dispatch
    this.fork = fork
  }

  start(receiver: Receiver): Exchanging {
    const { context, headers, request } = receiver
    const direct = new DirectExchange(receiver, this.listOf(receiver.clock))
    const target = targetOf(request)
    if (target === undefined) {
      const cause = new TypeError("not a URL")
      direct.failed(
        new HttpClientError.HttpClientError({ reason: new HttpClientError.InvalidUrlError({ request, cause }) })
      )
      return direct
    }
    const { body } = request
    if (body._tag === "Empty") this.dispatch(direct.exchange, target, request.method, headers, null)
    else {
      const sent = UndiciBody.of(request, headers, this.undici, context)
      this.dispatch(direct.exchange, target, request.method, sent.headers, sent.body)
    }
    return direct
  }

  close(): void {
    for (const list of this.lists) list.close()
  }

  private listOf(clock: Clock.Clock): DueList {
    const known = this.lists.find((list) => list.clock === clock)
    if (known !== undefined) return known
    const made = new DueList(clock, this.fork)
    this.lists = [made, ...this.lists].slice(0, 8)
    return made
  }
}
