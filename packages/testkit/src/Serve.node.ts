/**
 * A simulated provider on a real port, for any client in any language: faults reach down to the socket. Needs Node. @since 0.1.0
 */
import { Headers } from "@breakwater/core/Platform"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberSet from "effect/FiberSet"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { IncomingMessage, Server, ServerResponse } from "node:http"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import type { Received } from "./Exchange.ts"
import type { FaultPlan } from "./FaultPlan.ts"
import * as FaultPlans from "./FaultPlan.ts"
import type { FaultyNetwork } from "./FaultyNetwork.ts"
import * as FaultyNetworks from "./FaultyNetwork.ts"
import type { SimulatedProvider } from "./SimulatedProvider.ts"
import type { Answered, Wire } from "./Wire.ts"

/** The port cannot be taken. `code` is the system's: `EADDRINUSE` when somebody has it already. @category errors @since 0.1.0 */
export class PortUnavailable extends Schema.TaggedError<PortUnavailable>(
  "@breakwater/testkit/Serve.node/PortUnavailable"
)("PortUnavailable", {
  port: Schema.Int,
  code: Schema.String
}) {
  override get message(): string {
    const why = this.code === "EADDRINUSE" ? "is in use" : `cannot be taken (${this.code})`
    return `port ${this.port} ${why}: choose another one, or 0 for any that is free`
  }
}

/** @category models @since 0.1.0 */
export interface Options {
  /** From 0 to 65535; 0 takes any that is free. Default 0. */
  readonly port?: number | undefined
  /** What goes wrong. Default nothing. */
  readonly plan?: FaultPlan | undefined
}

/** @category models @since 0.1.0 */
export interface Served {
  readonly port: number
  /** Where it answers, without a slash at the end: `http://127.0.0.1:<port>`. */
  readonly url: string
}

/** Largest body of a request that is read, in bytes; a larger one is 413. @category constants @since 0.1.0 */
export const maxBodyBytes = 1024 * 1024

const host = "127.0.0.1"

/** How long the sent part of a body has to arrive before the connection is reset: a reset overtakes what is still under way. */
const beforeReset = Duration.millis(10)

const bodyOf = (request: IncomingMessage): Effect.Effect<Uint8Array | undefined> =>
  Effect.callback((resume) => {
    const chunks: Array<Buffer> = []
    let length = 0
    request.on("data", (chunk: Buffer) => {
      length += chunk.length
      if (length <= maxBodyBytes) chunks.push(chunk)
    })
    request.on("end", () =>
      resume(Effect.succeed(length > maxBodyBytes ? undefined : new Uint8Array(Buffer.concat(chunks))))
    )
    // The client left in the middle of its request: there is nothing to answer.
    request.on("error", () => resume(Effect.interrupt))
  })

const receivedOf = (request: IncomingMessage, body: Uint8Array): Received => ({
  method: request.method ?? "GET",
  target: request.url ?? "/",
  headers: Headers.fromInput(request.headers as Record<string, string>),
  body
})

const reset = (response: ServerResponse): void => {
  response.socket?.resetAndDestroy()
}

const write = (response: ServerResponse, chunk: Uint8Array): Effect.Effect<void> =>
  Effect.callback((resume) => {
    // The client may have left: what is written then is nobody's loss.
    response.write(chunk, () => resume(Effect.void))
  })

const layAnswer = Effect.fnUntraced(function* (response: ServerResponse, wire: Answered) {
  response.writeHead(wire.status, wire.headers)
  const [only] = wire.chunks
  const { everyMillis } = wire
  if (wire.end === "complete" && wire.chunks.length <= 1 && everyMillis === undefined) return void response.end(only)
  response.flushHeaders()
  for (const chunk of wire.chunks) {
    if (response.destroyed) return
    if (everyMillis !== undefined) yield* Effect.sleep(Duration.millis(everyMillis))
    yield* write(response, chunk)
  }
  if (wire.end === "complete") return void response.end()
  if (wire.end === "stall") return
  yield* Effect.sleep(beforeReset)
  reset(response)
})

const lay = (response: ServerResponse, wire: Wire): Effect.Effect<void> => {
  switch (wire._tag) {
    case "Answered":
      return layAnswer(response, wire)
    case "Broken":
      return Effect.sync(() => reset(response))
    case "Silent":
    case "Unconnected":
      return Effect.void
  }
}

const plainAnswer = (response: ServerResponse, status: number, text: string): Effect.Effect<void> =>
  Effect.sync(
    () => void response.writeHead(status, { "content-type": "text/plain", connection: "close" }).end(`${text}\n`)
  )

const answer = Effect.fnUntraced(function* (
  network: FaultyNetwork,
  provider: SimulatedProvider,
  request: IncomingMessage,
  response: ServerResponse
) {
  const body = yield* bodyOf(request)
  if (body === undefined) return yield* plainAnswer(response, 413, `the body has more than ${maxBodyBytes} bytes`)
  const exit = yield* Effect.exit(network.exchange(provider, receivedOf(request, body)))
  if (Exit.isSuccess(exit)) return yield* lay(response, exit.value)
  yield* Effect.logError(`simulated ${provider.name} died`, exit.cause)
  yield* plainAnswer(response, 500, `simulated ${provider.name} died: its log has the cause`)
})

const listen = (server: Server, port: number): Effect.Effect<number, PortUnavailable> =>
  Effect.callback((resume) => {
    server.on("error", (error: NodeJS.ErrnoException) =>
      resume(Effect.fail(new PortUnavailable({ port, code: error.code ?? "UNKNOWN" })))
    )
    server.listen(port, host, () => resume(Effect.succeed((server.address() as AddressInfo).port)))
  })

const close = (server: Server): Effect.Effect<void> =>
  Effect.callback((resume) => {
    server.close(() => resume(Effect.void))
    server.closeAllConnections()
  })

/**
 * Serves a provider on 127.0.0.1 until the scope closes; then every connection is cut. Some faults cannot be told to a single request on a port, since it has its connection:
 * `refused`, `dns` and `tls` become a reset, `connectBlackhole` an answer that never comes. Throws a `RangeError` for a port out of range.
 * @category constructors @since 0.1.0
 */
export const make = Effect.fnUntraced(function* (
  provider: SimulatedProvider,
  options?: Options
): Effect.fn.Return<Served, PortUnavailable, Scope.Scope> {
  const wanted = options?.port ?? 0
  if (!Number.isInteger(wanted) || wanted < 0 || wanted > 65_535)
    throw new RangeError(`Serve.make: port must be from 0 to 65535, got ${wanted}`)
  const network = yield* FaultyNetworks.make(options?.plan ?? FaultPlans.none)
  const run = yield* FiberSet.makeRuntime<never, void>()
  const server = yield* Effect.acquireRelease(
    Effect.sync(() => createServer((request, response) => run(answer(network, provider, request, response)))),
    close
  )
  // Node would close an idle connection after 5 s, at which moment a client may be about to use it: a reset that no plan asked for.
  server.keepAliveTimeout = 0
  const port = yield* listen(server, wanted)
  return { port, url: `http://${host}:${port}` }
})
