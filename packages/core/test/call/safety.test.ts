import { assert, describe, it } from "@effect/vitest"
import { Call, Idempotency } from "@breakwater/core"
import { Effect, Fiber, Stream } from "effect"
import { HttpClientRequest } from "effect/http"
import { TestClock } from "effect/testing"
import * as Telemetry from "@breakwater/core/Telemetry"
import * as Acme from "../support/Acme.ts"
import * as Fake from "../support/FakeTransport.ts"
import { valueOf } from "../support/Metrics.ts"
import { inScenario, LogBook, outcome, run } from "../support/Scenario.ts"

const order = { id: "o1", amount: 100 }
const hour = 3600 * 1000
const payload = { amount: 1 }
const params = { id: "o1" }

/** One operation of each kind. */
const kinds = {
  safe: (acme: Acme.AcmeClient) => acme.orders.get({ params }),
  "safe POST": (acme: Acme.AcmeClient) => acme.orders.search({ payload: { q: "a" } }),
  idempotent: (acme: Acme.AcmeClient) => acme.orders.replace({ params, payload }),
  keyed: (acme: Acme.AcmeClient) => acme.orders.create({ payload }).pipe(Idempotency.withKey("order/1/charge")),
  unsafe: (acme: Acme.AcmeClient) => acme.orders.capture({ params, payload })
} as const

type Kind = keyof typeof kinds
const isWrite = (kind: Kind) => kind === "keyed" || kind === "unsafe"

/** Succeeds for whatever the operation is. */
const success: Fake.Step = (request) => Fake.json(request.url.endsWith("/search") ? [order] : order)(request)

const call = Effect.fnUntraced(function* (
  kind: Kind,
  script: Fake.Script,
  policy: Parameters<typeof Call.withPolicy>[1] = {}
) {
  const transport = Fake.make(script)
  const acme = yield* Acme.connect(transport, { policy })
  const ended = yield* run(kinds[kind](acme) as Effect.Effect<unknown, unknown>)
  return { ...ended, sent: transport.sent }
})

const all = Object.keys(kinds) as ReadonlyArray<Kind>
const value = (kind: Kind) => ({ value: kind === "safe POST" ? [order] : order })

/** What an attempt may come to, and how far it came. */
const failures = [
  {
    name: "503",
    step: Fake.empty(503),
    sent: "unknown",
    reason: { _tag: "Unavailable", status: 503, problem: "status" }
  },
  {
    name: "a lost response",
    step: Fake.broken("ECONNRESET"),
    sent: "unknown",
    reason: { _tag: "TransportFailed", code: "ECONNRESET" }
  },
  { name: "a silence", step: Fake.silent, sent: "unknown", reason: { _tag: "Timeout", phase: "silence", after: 5000 } },
  {
    name: "an answer cut in the middle",
    step: Fake.chunks(["{", { code: "ECONNRESET" }]),
    sent: "unknown",
    reason: { _tag: "TransportFailed", code: "ECONNRESET" }
  },
  {
    name: "HTML for JSON",
    step: Fake.text("<html>"),
    sent: "unknown",
    reason: { _tag: "Unavailable", status: 200, problem: "not JSON" }
  },
  {
    name: "a lock",
    step: Fake.json({ error: { code: "in_flight" } }, 409),
    sent: "unknown",
    reason: { _tag: "Locked", status: 409, code: "in_flight" }
  },
  {
    name: "408",
    step: Fake.empty(408),
    sent: "unknown",
    reason: { _tag: "Unavailable", status: 408, problem: "status" }
  },
  {
    name: "a refused connection",
    step: Fake.broken("ECONNREFUSED"),
    sent: "no",
    reason: { _tag: "TransportFailed", code: "ECONNREFUSED" }
  },
  {
    name: "a connect timeout",
    step: Fake.broken("UND_ERR_CONNECT_TIMEOUT"),
    sent: "no",
    reason: { _tag: "Timeout", phase: "connect", after: 2000 }
  },
  { name: "429", step: Fake.empty(429), sent: "no", reason: { _tag: "RateLimited", by: "provider", status: 429 } },
  {
    name: "503 that the table marks as refused before work",
    step: Fake.json({ error: { code: "maintenance" } }, 503),
    sent: "no",
    reason: { _tag: "Unavailable", status: 503, code: "maintenance", problem: "status" }
  },
  {
    name: "408 that the table marks as refused before work",
    step: Fake.json({ error: { code: "not_read" } }, 408),
    sent: "no",
    reason: { _tag: "Unavailable", status: 408, code: "not_read", problem: "status" }
  }
] as const

const table = all.flatMap((kind) => failures.map((failure) => ({ kind, ...failure })))

describe("after one failure (SAFE-3)", () => {
  const resent = table.filter(({ kind, sent }) => kind !== "unsafe" || sent === "no")
  const ended = table.filter(({ kind, sent }) => kind === "unsafe" && sent === "unknown")

  it.effect.each(resent)("$kind is sent again after $name", ({ kind, step }) =>
    inScenario(
      Effect.gen(function* () {
        const { outcome, sent } = yield* call(kind, [step, success])

        assert.deepStrictEqual(outcome, value(kind))
        assert.strictEqual(sent.length, 2)
      })
    )
  )

  it.effect.each(ended)(
    "$kind is not sent again after $name: nobody knows whether it was done",
    ({ kind, reason, step }) =>
      inScenario(
        Effect.gen(function* () {
          yield* TestClock.setTime(1000)
          const { outcome, sent } = yield* call(kind, [step, success])

          assert.deepStrictEqual(outcome, { class: "OutcomeUnknown", attempts: 1, reason, firstSentAt: 1000 })
          assert.strictEqual(sent.length, 1)
        })
      )
  )
})

describe("after failures to the end", () => {
  const resent = table.filter(({ kind, sent }) => kind !== "unsafe" || sent === "no")

  it.effect.each(resent)("$kind ends after four times $name, sent $sent", ({ kind, reason, sent: expected, step }) =>
    inScenario(
      Effect.gen(function* () {
        const { outcome, sent } = yield* call(kind, [step], { breaker: { consecutiveFailures: 100 } })
        const keyed = kind === "keyed" && expected === "unknown" ? { retryUntil: 23 * hour } : {}

        assert.deepStrictEqual(outcome, { class: "RetryableError", attempts: 4, reason, sent: expected, ...keyed })
        assert.strictEqual(sent.length, 4)
      })
    )
  )

  it.effect("unsafe that was refused three times and then lost is unknown", () =>
    inScenario(
      Effect.gen(function* () {
        const refused = Fake.empty(429)
        const { outcome, sent } = yield* call("unsafe", [refused, refused, refused, Fake.broken("ECONNRESET"), success])

        assert.deepStrictEqual(outcome, {
          class: "OutcomeUnknown",
          attempts: 4,
          reason: { _tag: "TransportFailed", code: "ECONNRESET" },
          firstSentAt: 0
        })
        assert.strictEqual(sent.length, 4)
      })
    )
  )

  it.effect("one lost attempt among refused ones makes the whole call sent unknown", () =>
    inScenario(
      Effect.gen(function* () {
        const refused = Fake.empty(429)
        const { outcome } = yield* call("idempotent", [Fake.broken("ECONNRESET"), refused])

        assert.deepStrictEqual(outcome, {
          class: "RetryableError",
          attempts: 4,
          reason: { _tag: "RateLimited", by: "provider", status: 429 },
          sent: "unknown"
        })
      })
    )
  )
})

describe("every attempt of a call", () => {
  it.effect.each(all)("%s sends the same bytes, the same key and the same correlation id", (kind) =>
    inScenario(
      Effect.gen(function* () {
        const { sent } = yield* call(kind, [Fake.empty(429), Fake.empty(429), success])
        const [first, ...others] = sent

        assert.strictEqual(others.length, 2)
        for (const other of others) {
          assert.strictEqual(other.bytes, first?.bytes)
          assert.deepStrictEqual({ ...other, at: 0, bytes: undefined }, { ...first, at: 0, bytes: undefined } as Omit<
            Fake.Sent,
            "bytes"
          > & { bytes: undefined })
        }
        assert.strictEqual(first?.headers["idempotency-key"], kind === "keyed" ? "order/1/charge" : undefined)
      })
    )
  )
})

describe("the deadline over an attempt in flight", () => {
  it.effect.each(all)("of %s", (kind) =>
    inScenario(
      Effect.gen(function* () {
        const { outcome, took } = yield* call(kind, [Fake.silent], { deadline: 2000 })
        const reason = { _tag: "DeadlineExceeded", deadline: 2000 }

        assert.strictEqual(took, 2000)
        assert.deepStrictEqual(
          outcome,
          kind === "unsafe"
            ? { class: "OutcomeUnknown", attempts: 1, reason, firstSentAt: 0 }
            : {
                class: "RetryableError",
                attempts: 1,
                reason,
                sent: "unknown",
                ...(kind === "keyed" ? { retryUntil: 23 * hour } : {})
              }
        )
      })
    )
  )
})

describe("the caller's interruption of an attempt in flight", () => {
  it.effect.each(all)("of %s cuts the wire; of a write it is said that nobody knows", (kind) => {
    const book = new LogBook()
    return inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.silent])
        const acme = yield* Acme.connect(transport)
        const calling = kinds[kind](acme) as Effect.Effect<unknown, unknown>
        const fiber = yield* Effect.forkChild(calling.pipe(Call.withCorrelationId("c-1")), { startImmediately: true })
        yield* TestClock.adjust("1 second")
        yield* Fiber.interrupt(fiber)
        const name = kind === "keyed" ? "create" : "capture"
        const { count } = yield* valueOf(Telemetry.abandoned, `acme.orders.${name}`)

        assert.strictEqual(outcome(yield* Fiber.await(fiber)), "interrupted")
        assert.deepStrictEqual([transport.open(), transport.cut()], [0, 1])
        assert.strictEqual(count, isWrite(kind) ? 1 : 0)
        assert.deepStrictEqual(
          book.of("Warn"),
          isWrite(kind)
            ? [
                {
                  level: "Warn",
                  message: `acme.orders.${name} abandoned: interrupted while attempt 1 was under way, outcome unknown`,
                  fields: {
                    service: "breakwater",
                    third_party: "acme",
                    method: "POST",
                    endpoint: kind === "keyed" ? "/orders" : "/orders/:id/capture",
                    operation: `acme.orders.${name}`,
                    correlation_id: "c-1",
                    attempt: 1,
                    duration_ms: 1000,
                    event: "abandoned"
                  }
                }
              ]
            : []
        )
      }),
      book
    )
  })
})

describe("a keyed write", () => {
  const create = (acme: Acme.AcmeClient) => acme.orders.create({ payload })

  it.effect("whose stored 500 the provider replays has an unknown outcome: the key gives nothing else any more", () =>
    inScenario(
      Effect.gen(function* () {
        const replayed = Fake.empty(500, { "idempotent-replayed": "true" })
        const { outcome, sent } = yield* call("keyed", [Fake.empty(500), replayed, success])

        assert.deepStrictEqual(outcome, {
          class: "OutcomeUnknown",
          attempts: 2,
          reason: { _tag: "Unavailable", status: 500, problem: "status" },
          firstSentAt: 0
        })
        assert.strictEqual(sent.length, 2)
      })
    )
  )

  it.effect("whose success the provider replays has succeeded", () =>
    inScenario(
      Effect.gen(function* () {
        const replayed = Fake.json(order, 200, { "idempotent-replayed": "true" })
        const { outcome } = yield* call("keyed", [Fake.broken("ECONNRESET"), replayed])

        assert.deepStrictEqual(outcome, { value: order })
      })
    )
  )

  it.effect("is resent after an answer that says it is not replayed", () =>
    inScenario(
      Effect.gen(function* () {
        const fresh = Fake.empty(500, { "idempotent-replayed": "false" })
        const { outcome } = yield* call("keyed", [fresh, success])

        assert.deepStrictEqual(outcome, { value: order })
      })
    )
  )

  const refusals = [
    { status: 401, reason: "Unauthorized" },
    { status: 403, reason: "PermissionDenied" },
    { status: 405, reason: "Rejected" }
  ]

  it.effect.each(refusals)(
    "that may have been done and then meets $status is unknown, not $reason",
    ({ reason, status }) =>
      inScenario(
        Effect.gen(function* () {
          const { outcome } = yield* call("keyed", [Fake.broken("ECONNRESET"), Fake.empty(status)])

          assert.deepStrictEqual(outcome, {
            class: "OutcomeUnknown",
            attempts: 2,
            reason: { _tag: reason, status },
            firstSentAt: 0
          })
        })
      )
  )

  it.effect.each(refusals)("that was certainly not done and meets $status is $reason", ({ reason, status }) =>
    inScenario(
      Effect.gen(function* () {
        const { outcome } = yield* call("keyed", [Fake.broken("ECONNREFUSED"), Fake.empty(status)])

        assert.deepStrictEqual(outcome, { class: "FatalError", attempts: 2, reason: { _tag: reason, status } })
      })
    )
  )

  it.effect.each([400, 422])(
    "that meets %i after a lost answer is final: the request was as wrong the first time",
    (status) =>
      inScenario(
        Effect.gen(function* () {
          const { outcome } = yield* call("keyed", [Fake.broken("ECONNRESET"), Fake.empty(status)])

          assert.deepStrictEqual(outcome, {
            class: "FatalError",
            attempts: 2,
            reason: { _tag: "InvalidRequest", status }
          })
        })
      )
  )

  it.effect.each([
    [404, "NotFound"],
    [409, "Conflict"],
    [412, "Conflict"]
  ] as const)(
    "that meets %i after a lost answer is unknown: it may be what the first one left behind",
    ([status, reason]) =>
      inScenario(
        Effect.gen(function* () {
          const { outcome } = yield* call("keyed", [Fake.broken("ECONNRESET"), Fake.empty(status)])

          assert.deepStrictEqual(outcome, {
            class: "OutcomeUnknown",
            attempts: 2,
            reason: { _tag: reason, status },
            firstSentAt: 0
          })
        })
      )
  )

  it.effect("whose lost answer is followed by a declared error ends with that error", () =>
    inScenario(
      Effect.gen(function* () {
        const declined = Fake.json({ _tag: "Declined", code: "no_funds" }, 402)
        const { outcome, sent } = yield* call("keyed", [Fake.broken("ECONNRESET"), declined, success])

        assert.deepStrictEqual(outcome, { declared: new Acme.Declined({ code: "no_funds" }) })
        assert.strictEqual(sent.length, 2)
      })
    )
  )

  it.effect(
    "meets a key past its window when the caller comes again too late: that is the caller's to see, in retryUntil",
    () =>
      inScenario(
        Effect.gen(function* () {
          yield* TestClock.setTime(5 * hour)
          const { outcome } = yield* call("keyed", [Fake.empty(503)])

          assert.deepStrictEqual(outcome, {
            class: "RetryableError",
            attempts: 4,
            reason: { _tag: "Unavailable", status: 503, problem: "status" },
            sent: "unknown",
            retryUntil: 5 * hour + 23 * hour
          })
        })
      )
  )

  const cell = Effect.fnUntraced(function* (
    use: (acme: Acme.AcmeClient) => Effect.Effect<unknown, unknown, Idempotency.IdempotencyKey<"acme.orders.create">>,
    script: Fake.Script = [success]
  ) {
    const transport = Fake.make(script)
    const acme = yield* Acme.connect(transport)
    const { outcome } = yield* run(use(acme).pipe(Idempotency.withKey("k")))
    return { outcome, attempts: transport.sent.length }
  })

  it.effect("is refused with the key of another request before it is sent (IDEM-2)", () =>
    inScenario(
      Effect.gen(function* () {
        const ended = yield* cell(
          (acme) => Effect.andThen(Effect.exit(create(acme)), acme.orders.create({ payload: { amount: 2 } })),
          [Fake.empty(400), success]
        )

        assert.deepStrictEqual(ended, {
          outcome: {
            class: "FatalError",
            attempts: 0,
            reason: { _tag: "IdempotencyMismatch", detail: "the key was used for another request before" }
          },
          attempts: 1
        })
      })
    )
  )

  it.effect("is refused with the key of a call that succeeded", () =>
    inScenario(
      Effect.gen(function* () {
        const ended = yield* cell((acme) => Effect.andThen(create(acme), create(acme)))

        assert.deepStrictEqual(ended, {
          outcome: {
            class: "FatalError",
            attempts: 0,
            reason: {
              _tag: "InvalidRequest",
              field: "idempotency key",
              detail: "was used for a call that succeeded"
            }
          },
          attempts: 1
        })
      })
    )
  )

  it.effect("is refused with a key that is in flight", () =>
    inScenario(
      Effect.gen(function* () {
        const ended = yield* cell(
          (acme) =>
            Effect.gen(function* () {
              const first = yield* Effect.forkChild(create(acme), { startImmediately: true })
              const second = yield* Effect.flip(create(acme))
              return {
                first: yield* Fiber.join(first),
                second: [second._tag, "reason" in second && second.reason._tag]
              }
            }),
          [Fake.late(1000, success)]
        )

        assert.deepStrictEqual(ended, {
          outcome: { value: { first: order, second: ["RetryableError", "Locked"] } },
          attempts: 1
        })
      })
    )
  )

  it.effect("may use its key again after it failed", () =>
    inScenario(
      Effect.gen(function* () {
        const ended = yield* cell(
          (acme) => Effect.andThen(Effect.exit(create(acme)), create(acme)),
          [Fake.empty(400), success]
        )

        assert.deepStrictEqual(ended, { outcome: { value: order }, attempts: 2 })
      })
    )
  )

  it.effect("may use its key again after it was interrupted", () =>
    inScenario(
      Effect.gen(function* () {
        const ended = yield* cell(
          (acme) => Effect.andThen(Effect.timeoutOption(create(acme), "1 second"), create(acme)),
          [Fake.silent, success]
        )

        assert.deepStrictEqual(ended, { outcome: { value: order }, attempts: 2 })
      })
    )
  )

  const badKeys: ReadonlyArray<readonly [string, string, string]> = [
    ["empty", "", "must have 1 to 255 characters, has 0"],
    ["too long", "k".repeat(256), "must have 1 to 255 characters, has 256"],
    ["with a line end", "a\r\nx-evil: 1", "must be printable ASCII without spaces at its ends"],
    ["with a space at its end", "a ", "must be printable ASCII without spaces at its ends"],
    ["not ASCII", "schlüssel", "must be printable ASCII without spaces at its ends"]
  ]

  it.effect.each(badKeys)("is refused with a key that is %s", ([, key, detail]) =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([success])
        const acme = yield* Acme.connect(transport)

        assert.deepStrictEqual((yield* run(create(acme).pipe(Idempotency.withKey(key)))).outcome, {
          class: "FatalError",
          attempts: 0,
          reason: { _tag: "InvalidRequest", field: "idempotency key", detail }
        })
        assert.strictEqual(transport.sent.length, 0)
      })
    )
  )

  it.effect("takes its key from the item, for many", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([success])
        const acme = yield* Acme.connect(transport)
        const charge = Idempotency.withKeyOf((id: number) => `order/${id}`)((amount: number) =>
          acme.orders.create({ payload: { amount } })
        )
        yield* run(Effect.forEach([1, 2, 3], charge))

        assert.deepStrictEqual(
          transport.sent.map(({ headers }) => headers["idempotency-key"]),
          ["order/1", "order/2", "order/3"]
        )
      })
    )
  )
})

describe("a declared error", () => {
  const declined = { _tag: "Declined", code: "no_funds" }

  it.effect("is final, typed, and no failure of the provider", () =>
    inScenario(
      Effect.gen(function* () {
        const { outcome, sent } = yield* call("unsafe", [Fake.json(declined, 402), success])

        assert.deepStrictEqual(outcome, { declared: new Acme.Declined({ code: "no_funds" }) })
        assert.strictEqual(sent.length, 1)
      })
    )
  )

  it.effect("that does not fit its schema is drift", () =>
    inScenario(
      Effect.gen(function* () {
        const { outcome } = yield* call("unsafe", [Fake.json({ _tag: "Declined", code: 7 }, 402)])

        assert.deepStrictEqual(outcome, {
          class: "FatalError",
          attempts: 1,
          reason: { _tag: "ResponseInvalid", status: 402, path: "code", expected: "string" }
        })
      })
    )
  )

  it.effect("whose body is no JSON is what its status says", () =>
    inScenario(
      Effect.gen(function* () {
        const { outcome } = yield* call("unsafe", [Fake.text("<html>", 402)])

        assert.deepStrictEqual(outcome, {
          class: "FatalError",
          attempts: 1,
          reason: { _tag: "Rejected", status: 402 }
        })
      })
    )
  )
})

describe("a provider that says itself whether to retry", () => {
  const advised = Effect.fnUntraced(function* (kind: Kind, status: number, advice: string) {
    const declared = Acme.variant({ errors: { ...Acme.errors, shouldRetryHeader: "Acme-Should-Retry" } })
    const transport = Fake.make([Fake.empty(status, { "acme-should-retry": advice }), success])
    const acme = yield* Acme.connectTo(declared, transport)
    const { outcome } = yield* run(kinds[kind](acme) as Effect.Effect<unknown, unknown>)
    return outcome
  })

  it.effect.each(["safe", "idempotent", "keyed"] as const)(
    "has %s sent again after a 409 that it calls retryable",
    (kind) =>
      inScenario(
        Effect.gen(function* () {
          assert.deepStrictEqual(yield* advised(kind, 409, "true"), value(kind))
        })
      )
  )

  it.effect("does not have unsafe sent again: that a retry would be taken is not that nothing was done", () =>
    inScenario(
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* advised("unsafe", 409, "true"), {
          class: "OutcomeUnknown",
          attempts: 1,
          reason: { _tag: "Unavailable", status: 409, problem: "status" },
          firstSentAt: 0
        })
      })
    )
  )

  it.effect.each(["safe", "idempotent"] as const)("ends %s with a final answer at a 500 that it calls final", (kind) =>
    inScenario(
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* advised(kind, 500, "false"), {
          class: "FatalError",
          attempts: 1,
          reason: { _tag: "Rejected", status: 500 }
        })
      })
    )
  )

  it.effect.each(["keyed", "unsafe"] as const)(
    "leaves %s unknown at a 500 that it calls final: it may have been done",
    (kind) =>
      inScenario(
        Effect.gen(function* () {
          assert.deepStrictEqual(yield* advised(kind, 500, "false"), {
            class: "OutcomeUnknown",
            attempts: 1,
            reason: { _tag: "Rejected", status: 500 },
            firstSentAt: 0
          })
        })
      )
  )
})

describe("a body that can be sent once only", () => {
  it.effect("is not sent again, whatever the safety", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.empty(503), Fake.empty(200)])
        const client = yield* Call.client(transport.client, { provider: "plain" })
        const request = HttpClientRequest.put("https://plain.test/").pipe(
          HttpClientRequest.bodyStream(Stream.make(new Uint8Array([1])))
        )
        const { outcome } = yield* run(Effect.map(client.execute(request), ({ status }) => status))

        assert.deepStrictEqual(outcome, { value: 503 })
        assert.strictEqual(transport.sent.length, 1)
      })
    )
  )
})
