/**
 * Servers on a loopback port that behave as a test says, closed with all their sockets when its scope closes.
 */
import { Effect, type Scope } from "effect"
import * as Http from "node:http"
import * as Https from "node:https"
import * as Net from "node:net"

export interface Listening {
  readonly port: number
  /** Sockets that were opened so far. */
  readonly opened: () => number
  /** Sockets that are open now. */
  readonly open: () => number
}

const listening = (server: Net.Server): Effect.Effect<Listening, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const sockets = new Set<Net.Socket>()
      let opened = 0
      server.on("connection", (socket) => {
        opened++
        sockets.add(socket)
        socket.on("error", () => undefined)
        socket.on("close", () => sockets.delete(socket))
      })
      await new Promise<void>((resolve) => {
        server.listen(0, "127.0.0.1", resolve)
      })
      const address = server.address()
      const port = typeof address === "object" && address !== null ? address.port : 0
      return { port, opened: () => opened, open: () => sockets.size, sockets }
    }),
    ({ sockets }) =>
      Effect.promise(async () => {
        for (const socket of sockets) socket.destroy()
        await new Promise<void>((resolve) => {
          server.close(() => resolve())
        })
      })
  )

/** An HTTP server. */
export const http = (answer: (request: Http.IncomingMessage, response: Http.ServerResponse) => void) =>
  Effect.suspend(() => listening(Http.createServer(answer)))

/** An HTTPS server. */
export const https = (
  options: Https.ServerOptions,
  answer: (request: Http.IncomingMessage, response: Http.ServerResponse) => void
) => Effect.suspend(() => listening(Https.createServer(options, answer)))

/** Any server. */
export const server = (make: () => Net.Server) => Effect.suspend(() => listening(make()))

/** A server that is handed each socket as it is. */
export const tcp = (talk: (socket: Net.Socket, nth: number) => void) =>
  Effect.suspend(() => {
    let connections = 0
    return listening(
      Net.createServer((socket) => {
        // Who does not read is not told that the other side has gone.
        socket.resume()
        talk(socket, ++connections)
      })
    )
  })

/** Waits, at most a second, until something is so. */
export const until = (isSo: () => boolean): Effect.Effect<boolean> =>
  Effect.promise(async () => {
    for (let n = 0; n < 100 && !isSo(); n++) {
      await new Promise((resolve) => {
        setTimeout(resolve, 10)
      })
    }
    return isSo()
  })
