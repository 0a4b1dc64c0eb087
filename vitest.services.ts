/**
 * Asks once, before any test, whether PostgreSQL and Redis answer on their standard local ports. A suite that needs one says
 * `describe.skipIf(!inject("postgres"))`. With `BREAKWATER_REQUIRE_SERVICES=1` a missing service fails the run instead.
 */
import { connect } from "node:net"
import type { TestProject } from "vitest/node"

declare module "vitest" {
  interface ProvidedContext {
    readonly postgres: boolean
    readonly redis: boolean
  }
}

interface Service {
  readonly key: "postgres" | "redis"
  readonly name: string
  readonly port: number
  /** A message that the service answers before any login. */
  readonly greeting: Uint8Array
}

const host = "127.0.0.1"
const patienceMillis = 1_000

const services: ReadonlyArray<Service> = [
  // An SSLRequest, which every server answers with one byte: the length 8, then the code 80877103.
  { key: "postgres", name: "PostgreSQL", port: 5432, greeting: Uint8Array.of(0, 0, 0, 8, 4, 210, 22, 47) },
  { key: "redis", name: "Redis", port: 6379, greeting: new TextEncoder().encode("PING\r\n") }
]

export default async function setup(project: TestProject): Promise<void> {
  const answers = await Promise.all(services.map(probe))
  services.forEach(({ key }, index) => project.provide(key, answers[index] === true))
  const missing = services.filter((_, index) => answers[index] !== true)
  if (missing.length === 0) return
  const lines = missing.map(({ name, port }) => `${name} does not answer on ${host}:${port}`)
  if (process.env["BREAKWATER_REQUIRE_SERVICES"] === "1") throw new Error(`required: ${lines.join("; ")}`)
  for (const line of lines) process.stderr.write(`skipped: ${line}\n`)
}

const probe = ({ greeting, port }: Service): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({ host, port })
    const settle = (answered: boolean) => {
      socket.destroy()
      resolve(answered)
    }
    socket.setTimeout(patienceMillis, () => settle(false))
    socket.once("connect", () => socket.write(greeting))
    socket.once("data", () => settle(true))
    socket.once("error", () => settle(false))
    socket.once("close", () => settle(false))
  })
