/** A way to a server that can fall silent, be cut and come back. */
import { Effect } from "effect"
import { once } from "node:events"
import type { AddressInfo, Socket } from "node:net"
import { connect, createServer } from "node:net"

export const make = (port: number) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const sockets = new Set<Socket>()
      let isSilent = false
      const server = createServer((near) => {
        const far = connect(port, "127.0.0.1")
        for (const [from, to] of [
          [near, far],
          [far, near]
        ] as const) {
          sockets.add(from)
          from.on("error", () => undefined)
          from.on("data", (bytes) => isSilent || to.write(bytes))
          from.on("close", () => {
            sockets.delete(from)
            to.destroy()
          })
        }
      })
      server.listen(0, "127.0.0.1")
      await once(server, "listening")
      const { port: own } = server.address() as AddressInfo
      const cut = () => {
        for (const socket of sockets) socket.destroy()
        server.close()
      }
      return {
        port: own,
        /** What is sent goes nowhere. */
        silence: Effect.sync(() => void (isSilent = true)),
        speak: Effect.sync(() => void (isSilent = false)),
        /** Connections are reset, and new ones refused. */
        cut: Effect.sync(cut),
        restore: Effect.promise(async () => {
          server.listen(own, "127.0.0.1")
          await once(server, "listening")
        }),
        close: cut
      }
    }),
    ({ close }) => Effect.sync(close)
  )
