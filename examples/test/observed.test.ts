import { assert, describe, it } from "@effect/vitest"
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process"
import { createServer, type Server } from "node:http"
import { join } from "node:path"
import { vi } from "vitest"

vi.setConfig({ testTimeout: 120_000 })

interface Receiver {
  readonly url: string
  /** Everything that was sent to a path. */
  readonly sent: (path: string) => string
  readonly close: () => void
}

/** A collector on loopback; one that is dead takes the request and never answers. */
const receiver = async (dead = false): Promise<Receiver> => {
  const sent = new Map<string, string>()
  const server: Server = createServer((request, response) => {
    let body = ""
    request.on("data", (chunk: Buffer) => (body += chunk.toString()))
    request.on("end", () => {
      sent.set(request.url ?? "", (sent.get(request.url ?? "") ?? "") + body)
      if (!dead) response.end("{}")
    })
  })
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve)
  })
  const address = server.address()
  const port = typeof address === "object" && address !== null ? address.port : 0
  const close = () => {
    server.closeAllConnections()
    server.close()
  }
  return { url: `http://127.0.0.1:${port}`, sent: (path) => sent.get(path) ?? "", close }
}

/** A sale of two orders, five seconds apart: first a naive one, then ours. */
class Sale {
  stderr = ""
  stdout = ""
  readonly process: ChildProcessWithoutNullStreams
  readonly code: Promise<number | null>

  constructor(...options: ReadonlyArray<string>) {
    const main = join(import.meta.dirname, "..", "checkout", "main.ts")
    this.process = spawn(process.execPath, [main, "--orders", "2", "--json", ...options])
    this.process.stderr.on("data", (chunk: Buffer) => (this.stderr += chunk.toString()))
    this.process.stdout.on("data", (chunk: Buffer) => (this.stdout += chunk.toString()))
    this.code = new Promise((resolve) => {
      this.process.on("close", resolve)
    })
  }

  /** Waits until the sale says something, or ends. */
  async says(pattern: RegExp): Promise<string> {
    while (this.process.exitCode === null) {
      const found = pattern.exec(this.stderr)
      if (found !== null) return found[1] ?? found[0]
      await new Promise((resolve) => {
        setTimeout(resolve, 50)
      })
    }
    throw new Error(`the sale ended without saying ${pattern.source}: ${this.stderr}`)
  }
}

const answered = /breakwater .* 1\/2 answered/u

describe.concurrent("checkout, watched", () => {
  it("serves /metrics and /health while it runs, and sends everything to a collector", async () => {
    const { close, sent, url } = await receiver()
    const sale = new Sale("--admin-port", "0", "--otlp", url)
    const admin = await sale.says(/admin: (\S+)\/metrics/u)
    await sale.says(answered)
    const metrics = await fetch(`${admin}/metrics`)
    const text = await metrics.text()
    const health = (await (await fetch(`${admin}/health`)).json()) as { connections: ReadonlyArray<unknown> }

    assert.match(metrics.headers.get("content-type") ?? "", /^text\/plain; version=0\.0\.4/u)
    assert.match(
      text,
      /^breakwater_call_count_total\{.*breakwater_operation="stripe\.paymentIntents\.create".*\} [1-9]/mu
    )
    assert.match(text, /^http_client_request_duration_seconds_bucket\{.*le="0\.005"\} /mu)
    assert.strictEqual(health.connections.length, 1)
    assert.include(health.connections[0], { provider: "stripe", environment: "sandbox" })

    assert.strictEqual(await sale.code, 0)
    close()
    assert.match(sent("/v1/traces"), /"name":"stripe\.paymentIntents\.create","kind":1/u)
    assert.match(sent("/v1/traces"), /"name":"POST \/v1\/payment_intents","kind":3/u)
    assert.match(sent("/v1/metrics"), /"name":"http\.client\.request\.duration"/u)
    assert.match(sent("/v1/logs"), /stripe: sandbox at/u)
    for (const signal of ["traces", "metrics", "logs"]) assert.notInclude(sent(`/v1/${signal}`), "sk_test_demo")
    assert.strictEqual(sale.stdout.trim().split("\n").length, 1)
  })

  it("sends what is left when it is stopped", async () => {
    const { close, sent, url } = await receiver()
    const sale = new Sale("--otlp", url)
    await sale.says(answered)
    sale.process.kill("SIGINT")

    assert.strictEqual(await sale.code, 130)
    close()
    assert.match(sent("/v1/traces"), /"name":"stripe\.paymentIntents\.create"/u)
    assert.match(sent("/v1/metrics"), /"name":"breakwater\.call\.count"/u)
  })

  it("is held up by no collector that is dead, and says once that it is", async () => {
    const { close, url } = await receiver(true)
    const sale = new Sale("--otlp", url)
    await sale.says(answered)
    sale.process.kill("SIGINT")

    assert.strictEqual(await sale.code, 130)
    close()
    assert.deepStrictEqual(sale.stderr.match(/^otlp: .*/gmu), [`otlp: ${url} does not take what is sent to it`])
  })

  it("says in one line that a port is taken, and ends with 2", async () => {
    const { close, url } = await receiver()
    const { port } = new URL(url)
    const sale = new Sale("--admin-port", port)

    assert.strictEqual(await sale.code, 2)
    close()
    assert.strictEqual(sale.stderr, `demo: --admin-port ${port} cannot be listened on\n`)
  })
})
