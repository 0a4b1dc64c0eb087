/**
 * Makes a client of effects one that calls back, as the Node transport does, so that what holds for the one way through the pipeline is held for the other.
 */
import { BodyTooLarge } from "@breakwater/core/BodyRead"
import { BufferedResponse } from "@breakwater/core/BufferedResponse"
import { Cause, type Clock, type Context, Duration, Effect, Exit, type Fiber, type Schema, Stream } from "effect"
import { enable } from "effect/schema/SchemaJITCompiler"
import { HttpClient, HttpClientRequest, type HttpClientResponse } from "effect/http"

/** What the pipeline hands to a transport that calls back. */
interface Receiver {
  readonly request: HttpClientRequest.HttpClientRequest
  readonly headers: Readonly<Record<string, string>>
  readonly limit: number
  readonly context: Context.Context<never>
  readonly clock: Clock.Clock
  heard(): void
  received(response: BufferedResponse): void
  failed(error: unknown, head: HttpClientResponse.HttpClientResponse | undefined): void
  dueAt(): number
  expire(now: number): boolean
}

const typeId = "~@breakwater/core/DirectClient"

const watch = (receiver: Receiver): Effect.Effect<void> =>
  Effect.gen(function* () {
    const { clock } = receiver
    while (!receiver.expire(clock.currentTimeMillisUnsafe()))
      yield* clock.sleep(Duration.millis(receiver.dueAt() - clock.currentTimeMillisUnsafe()))
  })

const bytesOf = (pieces: ReadonlyArray<Uint8Array>) => new Uint8Array(Buffer.concat(pieces))

const read = (receiver: Receiver, source: HttpClientResponse.HttpClientResponse) =>
  Effect.suspend(() => {
    receiver.heard()
    const { request } = receiver
    if (request.method === "HEAD" || [204, 205, 304].includes(source.status))
      return Effect.succeed(new BufferedResponse(request, source, new Uint8Array(0)))
    const pieces: Array<Uint8Array> = []
    const tooLarge = Effect.fail(new BodyTooLarge({ limit: receiver.limit, status: source.status }))
    if (Number(source.headers["content-length"] ?? 0) > receiver.limit) return tooLarge
    const stream = Stream.catchIf(
      source.stream,
      (error) => error.reason._tag === "EmptyBodyError",
      () => Stream.empty
    )
    const whole = Stream.runForEach(stream, (piece) => {
      pieces.push(piece)
      if (pieces.reduce((sum, { length }) => sum + length, 0) > receiver.limit) return tooLarge
      receiver.heard()
      return Effect.void
    })
    return Effect.map(whole, () => new BufferedResponse(request, source, bytesOf(pieces)))
  })

const start = (client: HttpClient.HttpClient, receiver: Receiver) => {
  const fibers: Array<Fiber.Fiber<unknown, unknown>> = []
  let head: HttpClientResponse.HttpClientResponse | undefined
  const abort = () => {
    for (const fiber of fibers) fiber.interruptUnsafe()
  }
  const exchange = Effect.provideService(
    client.execute(HttpClientRequest.setHeaders(receiver.request, receiver.headers)),
    HttpClient.TracerDisabledWhen,
    () => true
  ).pipe(
    Effect.tap((source) => Effect.sync(() => (head = source))),
    Effect.flatMap((source) => read(receiver, source))
  )
  const run = Effect.runForkWith(receiver.context)
  const fiber = run(exchange)
  fibers.push(fiber)
  if (fiber.pollUnsafe() === undefined) fibers.push(run(watch(receiver)))
  fiber.addObserver((exit) => {
    abort()
    if (Exit.isSuccess(exit)) receiver.received(exit.value)
    else if (!Cause.hasInterrupts(exit.cause)) receiver.failed(Cause.squash(exit.cause), head)
  })
  return { abort }
}

export const callingBack = (client: HttpClient.HttpClient): HttpClient.HttpClient =>
  Object.assign(Object.create(Object.getPrototypeOf(client) as object) as HttpClient.HttpClient, client, {
    [typeId]: (receiver: Receiver) => start(client, receiver),
    compile: (schemas: ReadonlyArray<Schema.Top>) =>
      Effect.sync(() => {
        for (const { ast } of schemas) enable(ast)
      })
  })
