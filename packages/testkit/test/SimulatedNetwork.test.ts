import { assert, describe, it } from "@effect/vitest"
import { type Duration, Effect, Exit, Fiber, Stream } from "effect"
import { type HttpClient, HttpClientRequest } from "effect/http"
import { TestClock } from "effect/testing"
import { Exchange, Fault, FaultPlan, RateWindow, type SimulatedProvider, SimulatedNetwork } from "@breakwater/testkit"
import { toEnd } from "./support/Run.ts"
import * as Wallet from "./support/Wallet.ts"

const url = "https://api.wallet.test/deposits"
const deposit = (amount: number, key?: string) =>
  HttpClientRequest.post(url).pipe(
    HttpClientRequest.bodyJsonUnsafe({ amount }),
    key === undefined ? (request) => request : HttpClientRequest.setHeader("idempotency-key", key)
  )

interface World {
  readonly client: HttpClient.HttpClient
  readonly provider: SimulatedProvider.SimulatedProvider
}

const world = Effect.fnUntraced(function* (plan: FaultPlan.FaultPlan, latency?: Duration.Input) {
  const provider = yield* Wallet.make({ latency })
  const client = yield* SimulatedNetwork.client([provider], { plan })
  return { client, provider } satisfies World
})

const read = ({ client }: World) =>
  Effect.flatMap(client.execute(deposit(5)), (response) => Effect.map(response.text, (text) => [response.status, text]))

/** The code of the error of a call, and when it came. */
const failure = Effect.fnUntraced(function* (fault: Fault.Fault) {
  const made = yield* world(FaultPlan.always(fault))
  const clock = yield* TestClock.testClockWith(Effect.succeed)
  const timed = Effect.flatMap(Effect.flip(read(made)), (error) =>
    Effect.sync(() => ({
      tag: error.reason._tag,
      code: (error.cause as { code?: string }).code,
      at: clock.currentTimeMillisUnsafe(),
      done: made.provider.ledger.entries.length
    }))
  )
  return yield* Effect.flatten(toEnd(timed))
})

describe("SimulatedNetwork.client", () => {
  it("needs no promise: a call under runSync", () => {
    const answer = Effect.runSync(Effect.scoped(Effect.flatMap(world(FaultPlan.none), read)))

    assert.deepStrictEqual(answer, [200, '{"id":"d1","amount":5}'])
  })

  it.effect("has no other hosts", () =>
    Effect.gen(function* () {
      const { client, provider } = yield* world(FaultPlan.none)
      const error = yield* Effect.flip(client.execute(HttpClientRequest.get("https://elsewhere.test/deposits")))

      assert.deepStrictEqual(
        [error.reason._tag, (error.cause as { code?: string }).code],
        ["TransportError", "ENOTFOUND"]
      )
      assert.strictEqual(provider.ledger.exchanges.length, 0)
    })
  )

  it.effect("fails as a transport does, at the time it does (TEST-2)", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* failure(Fault.refused), {
        tag: "TransportError",
        code: "ECONNREFUSED",
        at: 0,
        done: 0
      })
    })
  )
  it.effect("… reset before", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* failure(Fault.resetBefore), {
        tag: "TransportError",
        code: "ECONNRESET",
        at: 0,
        done: 0
      })
    })
  )
  it.effect("… lost response", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* failure(Fault.lostResponse), {
        tag: "TransportError",
        code: "ECONNRESET",
        at: 0,
        done: 1
      })
    })
  )
  it.effect("… connect timeout", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* failure(Fault.connectBlackhole("3 seconds")), {
        tag: "TransportError",
        code: "UND_ERR_CONNECT_TIMEOUT",
        at: 3000,
        done: 0
      })
    })
  )
  it.effect("… truncated body", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* failure(Fault.truncated(0.5)), {
        tag: "DecodeError",
        code: "ECONNRESET",
        at: 0,
        done: 1
      })
    })
  )

  it.effect("sends a part of a body before it breaks or falls silent", () =>
    Effect.gen(function* () {
      const half = yield* world(FaultPlan.always(Fault.truncated(0.5)))
      const response = yield* half.client.execute(deposit(5))
      const chunks: Array<string> = []
      const exit = yield* response.stream.pipe(
        Stream.runForEach((chunk) => Effect.sync(() => void chunks.push(new TextDecoder().decode(chunk)))),
        Effect.exit
      )

      assert.deepStrictEqual(
        [response.status, response.headers["content-length"], chunks],
        [200, "22", ['{"id":"d1",']]
      )
      assert.isTrue(Exit.isFailure(exit))
    })
  )

  for (const [fault, headersCome] of [
    [Fault.blackhole(), false],
    [Fault.blackhole({ processed: true }), false],
    [Fault.silence, true]
  ] as const) {
    it.effect(`waits for ever on ${fault.name}, and lets go when interrupted`, () =>
      Effect.gen(function* () {
        const made = yield* world(FaultPlan.always(fault))
        let headers = false
        const call = made.client.execute(deposit(5)).pipe(
          Effect.tap(() =>
            Effect.sync(() => {
              headers = true
            })
          ),
          Effect.flatMap((response) => response.arrayBuffer)
        )
        const fiber = yield* Effect.forkChild(call, { startImmediately: true })
        yield* TestClock.adjust("30 days")

        assert.deepStrictEqual(
          [fiber.pollUnsafe(), headers, made.provider.ledger.entries.length],
          [undefined, headersCome, fault.processed ? 1 : 0]
        )
        yield* Fiber.interrupt(fiber)
      })
    )
  }

  it.effect("delays the answer, not the work", () =>
    Effect.gen(function* () {
      const made = yield* world(FaultPlan.always(Fault.latency("2 seconds")))
      const fiber = yield* Effect.forkChild(read(made), { startImmediately: true })
      yield* TestClock.adjust("1999 millis")
      assert.deepStrictEqual([fiber.pollUnsafe(), made.provider.ledger.entries.length], [undefined, 1])
      yield* TestClock.adjust("1 millis")

      assert.deepStrictEqual(yield* Fiber.join(fiber), [200, '{"id":"d1","amount":5}'])
    })
  )

  it.effect("lets a provider end what it has begun, also when the client has left", () =>
    Effect.gen(function* () {
      const made = yield* world(FaultPlan.none, "5 seconds")
      const fiber = yield* Effect.forkChild(read(made), { startImmediately: true })
      yield* TestClock.adjust("1 second")
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(made.provider.ledger.entries.length, 0)
      yield* TestClock.adjust("5 seconds")

      assert.strictEqual(made.provider.ledger.entries.length, 1)
    })
  )

  it.effect("tells a plan what it asks about, and logs what came of it", () =>
    Effect.gen(function* () {
      const asked: Array<unknown> = []
      yield* TestClock.setTime(60_000)
      const made = yield* world({
        next: (exchange) => {
          asked.push(exchange)
          return exchange.index === 1 ? Fault.lostResponse : Fault.none
        }
      })
      const send = (amount: number) => Effect.exit(made.client.execute(deposit(amount, "a")))
      yield* TestClock.adjust("1 second")
      yield* send(1)
      yield* TestClock.adjust("2 seconds")
      yield* send(1)
      yield* Effect.exit(made.client.execute(HttpClientRequest.get(`${url}/d1?page=3`)))
      const common = {
        provider: "wallet",
        operation: "deposits.create",
        method: "POST",
        path: "/deposits",
        key: "a",
        label: "POST /deposits a"
      }

      assert.deepStrictEqual(asked, [
        { ...common, index: 0, at: 1000, occurrence: 0 },
        { ...common, index: 1, at: 3000, occurrence: 1 },
        {
          index: 2,
          at: 3000,
          provider: "wallet",
          operation: "deposits.get",
          method: "GET",
          path: "/deposits/d1",
          key: undefined,
          label: "GET /deposits/d1",
          occurrence: 0
        }
      ])
      assert.deepStrictEqual(
        made.provider.ledger.exchanges.map(({ at, fault, processed, status }) => ({ at, fault, processed, status })),
        [
          { at: 61_000, fault: "none", processed: true, status: 200 },
          { at: 63_000, fault: "lost response", processed: true, status: 200 },
          { at: 63_000, fault: "none", processed: true, status: 200 }
        ]
      )
    })
  )

  it.effect("logs no status where nobody answered, and no work where none was done", () =>
    Effect.gen(function* () {
      const faults = [
        Fault.refused,
        Fault.status(503),
        Fault.status(503, { processed: true }),
        Fault.crash(),
        Fault.crash({ processed: true })
      ]
      const made = yield* world(FaultPlan.script(faults))
      for (const _ of faults) yield* Effect.exit(read(made))

      assert.deepStrictEqual(
        made.provider.ledger.exchanges.map(({ processed, status }) => [processed, status]),
        [
          [false, undefined],
          [false, 503],
          [true, 503],
          [false, 500],
          [true, 500]
        ]
      )
      assert.strictEqual(made.provider.ledger.entries.length, 2)
    })
  )

  it.effect("lets the provider decide by its own clock, where that is wrong", () =>
    Effect.gen(function* () {
      const refusal = () => Exchange.json(429, {})
      const provider = yield* Wallet.make({ parts: [RateWindow.make({ limit: 1, window: "1 minute", refusal })] })
      const faults = [
        Fault.none,
        Fault.none,
        Fault.clockSkew({ ahead: "61 seconds" }),
        Fault.clockSkew({ behind: "1 hour" })
      ]
      const client = yield* SimulatedNetwork.client([provider], { plan: FaultPlan.script(faults) })
      const seen: Array<unknown> = []
      for (const _ of faults) {
        const { headers, status } = yield* client.execute(deposit(5))
        seen.push([status, headers["date"]])
      }

      assert.deepStrictEqual(seen, [
        [200, "Thu, 01 Jan 1970 00:00:00 GMT"],
        [429, "Thu, 01 Jan 1970 00:00:00 GMT"],
        [200, "Thu, 01 Jan 1970 00:01:01 GMT"],
        [429, "Wed, 31 Dec 1969 23:00:00 GMT"]
      ])
    })
  )
})
