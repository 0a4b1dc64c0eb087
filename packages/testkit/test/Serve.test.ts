import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope } from "effect"
import { connect } from "node:net"
import * as Serve from "@breakwater/testkit/node/Serve"
import { Fault, FaultPlan } from "@breakwater/testkit"
import * as Wallet from "./support/Wallet.ts"

const post = (url: string, init?: RequestInit) =>
  Effect.promise(async () => {
    const response = await fetch(`${url}/deposits`, {
      method: "POST",
      body: '{"amount":5}',
      headers: { "content-type": "application/json" },
      ...init
    })
    return [response.status, await response.text()] as const
  })

/** Bytes over a socket, for what no HTTP client sends; ends with everything that came back. */
const raw = (port: number, bytes: string) =>
  Effect.callback<string>((resume) => {
    const socket = connect(port, "127.0.0.1")
    let received = ""
    socket.on("data", (chunk) => {
      received += chunk.toString()
    })
    socket.on("error", (error: NodeJS.ErrnoException) => resume(Effect.succeed(error.code ?? "error")))
    socket.on("close", () => resume(Effect.succeed(received)))
    socket.write(bytes)
  })

describe("Serve.make", () => {
  it.live("answers on a port of its own", () =>
    Effect.gen(function* () {
      const wallet = yield* Wallet.make()
      const { port, url } = yield* Serve.make(wallet)

      assert.strictEqual(url, `http://127.0.0.1:${port}`)
      assert.deepStrictEqual(yield* post(url), [200, '{"id":"d1","amount":5}'])
      assert.strictEqual(wallet.ledger.entries.length, 1)
    })
  )

  it.live("names a port that is in use", () =>
    Effect.gen(function* () {
      const wallet = yield* Wallet.make()
      const { port } = yield* Serve.make(wallet)
      const error = yield* Effect.flip(Serve.make(wallet, { port }))

      assert.deepStrictEqual([error._tag, error.port, error.code], ["PortUnavailable", port, "EADDRINUSE"])
      assert.strictEqual(error.message, `port ${port} is in use: choose another one, or 0 for any that is free`)
    })
  )

  it.effect("refuses a port that cannot be", () =>
    Effect.gen(function* () {
      const wallet = yield* Wallet.make()
      for (const port of [-1, 65_536, 1.5]) {
        const exit = yield* Effect.exit(Serve.make(wallet, { port }))
        assert(Exit.isFailure(exit))
        assert.include(String(exit.cause), `port must be from 0 to 65535, got ${port}`)
      }
    })
  )

  it.live("cuts every connection when its scope closes, and gives the port back", () =>
    Effect.gen(function* () {
      const wallet = yield* Wallet.make()
      const scope = yield* Scope.make()
      const { port, url } = yield* Serve.make(wallet, { plan: FaultPlan.always(Fault.blackhole()) }).pipe(
        Scope.provide(scope)
      )
      const waiting = yield* Effect.forkChild(Effect.exit(post(url)), { startImmediately: true })
      const idle = yield* Effect.forkChild(raw(port, ""), { startImmediately: true })
      while (wallet.ledger.exchanges.length === 0) yield* Effect.sleep("1 millis")
      yield* Scope.close(scope, Exit.void)

      assert.isTrue(Exit.isFailure(yield* Fiber.join(waiting)))
      assert.include(["", "ECONNRESET"], yield* Fiber.join(idle))
      yield* Serve.make(wallet, { port })
    })
  )

  it.live("keeps on when a client leaves in the middle", () =>
    Effect.gen(function* () {
      const wallet = yield* Wallet.make()
      const { port, url } = yield* Serve.make(wallet, {
        plan: FaultPlan.script([Fault.latency("30 millis"), Fault.hugeBody()])
      })
      for (const arrived of [1, 2]) {
        const leaving = new AbortController()
        const posted = yield* Effect.forkChild(Effect.exit(post(url, { signal: leaving.signal })))
        // Not before it is there: a machine that is busy takes its time to connect.
        while (wallet.ledger.exchangeCount < arrived) yield* Effect.sleep("1 millis")
        leaving.abort()
        yield* Fiber.join(posted)
      }
      const half = "POST /deposits HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{"
      yield* Effect.timeoutOption(raw(port, half), "20 millis")
      yield* Effect.sleep("50 millis")

      assert.deepStrictEqual(yield* post(url), [200, '{"id":"d3","amount":5}'])
    })
  )

  it.live("refuses a body that is too large", () =>
    Effect.gen(function* () {
      const wallet = yield* Wallet.make()
      const { url } = yield* Serve.make(wallet)
      const body = `{"amount":5,"note":"${"x".repeat(Serve.maxBodyBytes)}"}`

      assert.strictEqual((yield* post(url, { body }))[0], 413)
      assert.strictEqual(wallet.ledger.entries.length, 0)
    })
  )

  it.live("answers 500 for a bug of the simulation", () =>
    Effect.gen(function* () {
      const wallet = yield* Wallet.make()
      const { url } = yield* Serve.make(wallet)

      assert.deepStrictEqual(yield* post(url, { body: '{"amount":-1}' }), [
        500,
        "simulated wallet died: its log has the cause\n"
      ])
    })
  )

  it.live("sends what is not announced, whole", () =>
    Effect.gen(function* () {
      const wallet = yield* Wallet.make()
      const { url } = yield* Serve.make(wallet, {
        plan: FaultPlan.always(Fault.hugeBody({ bytes: 300_000, announced: false }))
      })
      const [status, text] = yield* post(url)

      assert.deepStrictEqual([status, text.length, JSON.parse(text)], [200, 300_000, { id: "d1", amount: 5 }])
    })
  )
})
