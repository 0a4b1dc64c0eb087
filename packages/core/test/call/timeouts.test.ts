import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Call } from "@breakwater/core"
import * as Acme from "../support/Acme.ts"
import * as Fake from "../support/FakeTransport.ts"
import { inScenario, run } from "../support/Scenario.ts"

const order = { id: "o1", amount: 100 }
const parts = ['{"id":"o1",', '"amount":', "100}"] as const

/** One attempt of a read, under these times. */
const once = Effect.fnUntraced(function* (step: Fake.Step, policy: Parameters<typeof Call.withPolicy>[1] = {}) {
  const transport = Fake.make([step])
  const acme = yield* Acme.connect(transport, { policy: { attempts: 1, ...policy } })
  const ended = yield* run(acme.orders.get({ params: { id: "o1" } }))
  return { ...ended, open: transport.open(), cut: transport.cut() }
})

const failed = (reason: Record<string, unknown>, took: number) => ({
  outcome: { class: "RetryableError", attempts: 1, reason, sent: "unknown" },
  took,
  open: 0
})
const silence = (after: number) => ({ _tag: "Timeout", phase: "silence", after })
const attempt = (after: number) => ({ _tag: "Timeout", phase: "attempt", after })
const ok = (took: number) => ({ outcome: { value: order }, took, open: 0, cut: 0 })

describe("the silence timeout (SAFE-1)", () => {
  it.effect("strikes a blackhole after 5 s, and the exchange is cut", () =>
    inScenario(
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* once(Fake.silent), { ...failed(silence(5000), 5000), cut: 1 })
      })
    )
  )

  it.effect("lets an answer of 4,999 ms through, and none of 5,001 ms", () =>
    inScenario(
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* once(Fake.late(4999, Fake.json(order))), ok(4999))
        assert.deepStrictEqual(yield* once(Fake.late(5001, Fake.json(order))), {
          ...failed(silence(5000), 5000),
          cut: 1
        })
      })
    )
  )

  it.effect("starts anew with the headers", () =>
    inScenario(
      Effect.gen(function* () {
        const step = Fake.late(4000, Fake.chunks([4000, ...parts]))

        assert.deepStrictEqual(yield* once(step), ok(8000))
      })
    )
  )

  it.effect("starts anew with each chunk", () =>
    inScenario(
      Effect.gen(function* () {
        const drip = Fake.chunks([parts[0], 2000, parts[1], 2000, parts[2]])
        const stalled = Fake.chunks([parts[0], 2000, parts[1], 3001, parts[2]])

        assert.deepStrictEqual(yield* once(drip, { silenceTimeout: 3000 }), ok(4000))
        assert.deepStrictEqual(yield* once(stalled, { silenceTimeout: 3000 }), {
          ...failed(silence(3000), 5000),
          cut: 0
        })
      })
    )
  )
})

describe("a short body whose length is announced", () => {
  const announced = (headers: Record<string, string> = {}) =>
    Fake.chunks([parts[0], 3000, parts[1], 3000, parts[2]], 200, { "content-length": "24", ...headers })

  // A transport that calls back tells of each piece.
  it.effect.skipIf(Fake.way.callsBack)("is read at once: all of it must come within one silence", () =>
    inScenario(
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* once(announced()), { ...failed(silence(5000), 5000), cut: 0 })
      })
    )
  )

  it.effect("is read chunk by chunk where it is compressed: the length is not that of what comes out", () =>
    inScenario(
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* once(announced({ "content-encoding": "gzip" })), ok(6000))
      })
    )
  )
})

describe("the attempt timeout (SAFE-1)", () => {
  it.effect("strikes a body that drips without an end, after 10 s", () =>
    inScenario(
      Effect.gen(function* () {
        const drip = Fake.chunks(Array.from({ length: 20 }, (_, index) => (index % 2 === 0 ? " " : 2000)))

        assert.deepStrictEqual(yield* once(drip), { ...failed(attempt(10_000), 10_000), cut: 0 })
      })
    )
  )

  it.effect("of the same length as the silence has its name: it is the wider", () =>
    inScenario(
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* once(Fake.silent, { attemptTimeout: 3000 }), {
          ...failed(attempt(3000), 3000),
          cut: 1
        })
      })
    )
  )

  it.effect("is counted anew for each attempt, and never over the waits between", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.silent, Fake.silent, Fake.late(4900, Fake.json(order))])
        const acme = yield* Acme.connect(transport)
        const ended = yield* run(acme.orders.get({ params: { id: "o1" } }))

        assert.deepStrictEqual(ended, { outcome: { value: order }, took: 5000 + 100 + 5000 + 200 + 4900 })
        assert.deepStrictEqual(
          transport.sent.map(({ at }) => at),
          [0, 5100, 10_300]
        )
      })
    )
  )
})

describe("the deadline (SAFE-1)", () => {
  it.effect("over an attempt in flight is DeadlineExceeded, at its instant", () =>
    inScenario(
      Effect.gen(function* () {
        const policy = { deadline: 4000 }

        assert.deepStrictEqual(yield* once(Fake.silent, policy), {
          ...failed({ _tag: "DeadlineExceeded", deadline: 4000 }, 4000),
          cut: 1
        })
      })
    )
  )

  it.effect("covers all attempts and the waits between them", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.late(400, Fake.empty(503))])
        const acme = yield* Acme.connect(transport, { policy: { deadline: 1499 } })
        const ended = yield* run(acme.orders.get({ params: { id: "o1" } }))

        // 400, wait 100, 400 (900), wait 200, 400 (1,500): cut a millisecond before.
        assert.deepStrictEqual(ended, {
          outcome: {
            class: "RetryableError",
            attempts: 3,
            reason: { _tag: "DeadlineExceeded", deadline: 1499 },
            sent: "unknown"
          },
          took: 1499
        })
      })
    )
  )

  it.effect("ends a call before a wait that it would cut, with the reason of the attempt", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.late(400, Fake.empty(503))])
        const acme = yield* Acme.connect(transport, { policy: { deadline: 1100 } })
        const ended = yield* run(acme.orders.get({ params: { id: "o1" } }))

        assert.deepStrictEqual(ended, {
          outcome: {
            class: "RetryableError",
            attempts: 2,
            reason: { _tag: "Unavailable", status: 503, problem: "status" },
            sent: "unknown"
          },
          took: 900
        })
      })
    )
  )

  it.effect("that the caller sets is never more than the policy's, and nests inwards only", () =>
    inScenario(
      Effect.gen(function* () {
        const took = Effect.fnUntraced(function* (
          wrap: <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
        ) {
          const acme = yield* Acme.connect(Fake.make([Fake.silent]), { policy: { attempts: 1, deadline: 3000 } })
          return (yield* run(wrap(acme.orders.get({ params: { id: "o1" } })))).took
        })

        assert.strictEqual(yield* took(Call.withDeadline("1 second")), 1000)
        assert.strictEqual(yield* took(Call.withDeadline("1 hour")), 3000)
        assert.strictEqual(
          yield* took((self) => self.pipe(Call.withDeadline("1 hour"), Call.withDeadline("2 seconds"))),
          2000
        )
        assert.strictEqual(
          yield* took((self) => self.pipe(Call.withDeadline("2 seconds"), Call.withDeadline("1 hour"))),
          2000
        )
      })
    )
  )

  it.effect("that the caller sets is counted from the start of the effect, over several calls", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.late(600, Fake.json(order))])
        const acme = yield* Acme.connect(transport)
        const get = acme.orders.get({ params: { id: "o1" } })
        const ended = yield* run(Effect.andThen(get, get).pipe(Call.withDeadline("1 second")))

        assert.deepStrictEqual(ended, {
          outcome: {
            class: "RetryableError",
            attempts: 1,
            reason: { _tag: "DeadlineExceeded", deadline: 400 },
            sent: "unknown"
          },
          took: 1000
        })
      })
    )
  )

  it.effect("speaks against the provider only if the attempt itself was too slow", () =>
    inScenario(
      Effect.gen(function* () {
        const circuitAfter = Effect.fnUntraced(function* (deadline: number) {
          const acme = yield* Acme.connect(Fake.make([Fake.silent, Fake.json(order)]), {
            policy: { attempts: 1, breaker: { consecutiveFailures: 1 } }
          })
          yield* run(acme.orders.get({ params: { id: "o1" } }).pipe(Call.withDeadline(deadline)), deadline)
          return (yield* run(acme.orders.get({ params: { id: "o1" } }), 0)).outcome
        })

        assert.deepStrictEqual(yield* circuitAfter(4999), { value: order })
        assert.deepStrictEqual(yield* circuitAfter(5000), {
          class: "RetryableError",
          attempts: 0,
          reason: { _tag: "CircuitOpen", retryAfter: 30_000 },
          sent: "no",
          retryAfter: 30_000
        })
      })
    )
  )
})

describe("a call in an uninterruptible region", () => {
  it.effect("has its timeouts all the same", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.silent])
        const acme = yield* Acme.connect(transport, { policy: { attempts: 1 } })
        const ended = yield* run(Effect.uninterruptible(acme.orders.get({ params: { id: "o1" } })))

        assert.deepStrictEqual(
          { ...ended, cut: transport.cut() },
          {
            outcome: { class: "RetryableError", attempts: 1, reason: silence(5000), sent: "unknown" },
            took: 5000,
            cut: 1
          }
        )
      })
    )
  )
})
