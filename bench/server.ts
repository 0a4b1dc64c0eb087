/** A server that answers the same kilobyte of JSON to everything, as fast as Node does. */
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { body } from "./things.ts"

const server = createServer((_, response) => {
  response.writeHead(200, { "content-type": "application/json", "content-length": body.length }).end(body)
})
server.listen(0, "127.0.0.1", () =>
  process.send?.({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` })
)
process.on("disconnect", () => process.exit())
