import { assert, describe, it } from "@effect/vitest"
import { Answer, Call, Calls, Health, Idempotency } from "@breakwater/core"
import type { Settlement } from "@breakwater/core/IdempotencyStore"
import { IdempotencyStore, memory } from "@breakwater/core/IdempotencyStore"
import { make as storeError, StaleClaim, type Problem } from "@breakwater/core/StoreError"
import { Duration, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as Acme from "../support/Acme.ts"
import * as Fake from "../support/FakeTransport.ts"
import { counted } from "../support/Metrics.ts"
import { Recorder } from "../support/Recorder.ts"
import { inScenario, LogBook, run } from "../support/Scenario.ts"

const order = { id: "o1", amount: 1 }
const declined = { _tag: "Declined", code: "no_funds" }
const hour = 3_600_000

const keyed = (acme: Acme.AcmeClient, amount = 1) =>
  acme.orders.create({ payload: { amount } }).pipe(Idempotency.withKey("order/1/charge"))
const unsafe = (acme: Acme.AcmeClient, amount = 1) =>
  acme.orders.capture({ params: { id: "o1" }, payload: { amount } }).pipe(Idempotency.once("order/1/capture"))
const writes = { keyed, unsafe } as const

const id = {
  keyed: { scope: "acme.orders.create@default/sandbox", key: "order/1/charge" },
  unsafe: { scope: "acme.orders.capture@default/sandbox", key: "order/1/capture" }
} as const

type Kind = keyof typeof writes
const kinds = ["keyed", "unsafe"] as const

/** A client over a script, with a store of its own. */
const world = Effect.fnUntraced(function* (
  script: Fake.Script,
  options: { readonly store?: IdempotencyStore["Service"]; readonly policy?: Parameters<typeof Acme.connect>[1] } = {}
) {
  const transport = Fake.make(script)
  const acme = yield* Acme.connect(transport, options.policy)
  const store = options.store ?? memory()
  const remembering = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.provideService(effect, IdempotencyStore, store)
  const call = (kind: Kind, amount?: number) =>
    Effect.map(
      run(remembering(writes[kind](acme, amount)) as Effect.Effect<unknown, unknown>),
      ({ outcome }) => outcome
    )
  const stateOf = (kind: Kind) => Effect.map(store.get(id[kind]), (row) => row?.state)
  return { acme, transport, store, call, remembering, stateOf }
})

/** What a second call is told of a first one that ended in this way. */
const endings = [
  { name: "a success", step: Fake.json(order), first: { value: order }, state: "Succeeded", sent: 1 },
  {
    name: "a declared error",
    step: Fake.json(declined, 402),
    first: { declared: new Acme.Declined({ code: "no_funds" }) },
    state: "Failed",
    sent: 1
  },
  {
    name: "a request that is wrong",
    step: Fake.json({ error: { code: "too_small" } }, 422, { "acme-request-id": "req_1" }),
    first: { class: "FatalError", attempts: 1, reason: { _tag: "InvalidRequest", status: 422, code: "too_small" } },
    again: { class: "FatalError", attempts: 0, reason: { _tag: "InvalidRequest", status: 422, code: "too_small" } },
    state: "Failed",
    sent: 1
  },
  {
    name: "an answer that the declaration does not know",
    step: Fake.empty(418),
    first: { class: "FatalError", attempts: 1, reason: { _tag: "Rejected", status: 418 } },
    again: { class: "FatalError", attempts: 0, reason: { _tag: "Rejected", status: 418 } },
    state: "Failed",
    sent: 1
  }
] as const

const cases = kinds.flatMap((kind) => endings.map((ending) => ({ kind, ...ending })))

describe("the record of a call (IDEM-1, IDEM-2)", () => {
  it.effect.each(cases)("$kind replays $name", ({ first, kind, sent, state, step, ...ending }) =>
    inScenario(
      Effect.gen(function* () {
        const { call, stateOf, transport } = yield* world([step, Fake.empty(500)])

        assert.deepStrictEqual(yield* call(kind), first)
        assert.strictEqual(yield* stateOf(kind), state)
        yield* TestClock.adjust("1 hour")
        assert.deepStrictEqual(yield* call(kind), "again" in ending ? ending.again : first)
        assert.strictEqual(transport.sent.length, sent)
      })
    )
  )

  const aboutTheCaller = [
    { name: "401", step: Fake.empty(401), reason: { _tag: "Unauthorized", status: 401 } },
    { name: "403", step: Fake.empty(403), reason: { _tag: "PermissionDenied", status: 403 } },
    { name: "407", step: Fake.empty(407), reason: { _tag: "Rejected", status: 407 } },
    {
      name: "a spent quota",
      step: Fake.json({ error: { code: "quota" } }, 429),
      reason: { _tag: "QuotaExhausted", status: 429, code: "quota" }
    }
  ]

  it.effect.each(kinds.flatMap((kind) => aboutTheCaller.map((each) => ({ kind, ...each }))))(
    "$kind does not keep $name, which is about who asks",
    ({ kind, reason, step }) =>
      inScenario(
        Effect.gen(function* () {
          const { call, stateOf, transport } = yield* world([step, Fake.json(order)])

          assert.deepStrictEqual(yield* call(kind), { class: "FatalError", attempts: 1, reason })
          assert.strictEqual(yield* stateOf(kind), "Absent")
          assert.deepStrictEqual(yield* call(kind), { value: order })
          assert.strictEqual(transport.sent.length, 2)
        })
      )
  )

  it.effect.each(kinds)("%s is as good as new after it was refused before work", (kind) =>
    inScenario(
      Effect.gen(function* () {
        const { call, stateOf, transport } = yield* world([
          ...Array.from({ length: 4 }, () => Fake.empty(429)),
          Fake.json(order)
        ])
        const refused = yield* call(kind)

        assert.deepNestedInclude(refused, { class: "RetryableError", "reason._tag": "RateLimited", sent: "no" })
        assert.strictEqual(yield* stateOf(kind), "Absent")
        const before = transport.sent.length
        assert.deepStrictEqual(yield* call(kind, 2), { value: order })
        assert.strictEqual(transport.sent.length, before + 1)
      })
    )
  )

  it.effect("keyed goes on with the same key after attempts that were lost, for as long as the provider knows it", () =>
    inScenario(
      Effect.gen(function* () {
        const { call, stateOf, transport } = yield* world(
          (n) => (n <= 4 ? Fake.broken("ECONNRESET") : Fake.json(order)),
          {
            policy: { policy: { breaker: { consecutiveFailures: 100 } } }
          }
        )

        assert.deepNestedInclude(yield* call("keyed"), {
          class: "RetryableError",
          sent: "unknown",
          retryUntil: 23 * hour
        })
        assert.strictEqual(yield* stateOf("keyed"), "Pending")
        yield* TestClock.setTime(23 * hour - 1)
        assert.deepStrictEqual(yield* call("keyed"), { value: order })
        assert.deepStrictEqual(
          new Set(transport.sent.map(({ headers }) => headers["idempotency-key"])),
          new Set(["order/1/charge"])
        )
      })
    )
  )

  it.effect("keyed is never sent again when the window has ended", () =>
    inScenario(
      Effect.gen(function* () {
        const { call, stateOf, transport } = yield* world(
          (n) => (n <= 4 ? Fake.broken("ECONNRESET") : Fake.json(order)),
          {
            policy: { policy: { breaker: { consecutiveFailures: 100 } } }
          }
        )
        yield* call("keyed")
        yield* TestClock.setTime(23 * hour)
        const unresolved = { class: "OutcomeUnknown", attempts: 0, reason: { _tag: "Unresolved" }, firstSentAt: 0 }

        assert.deepStrictEqual(yield* call("keyed"), unresolved)
        assert.deepStrictEqual(yield* call("keyed"), unresolved)
        assert.strictEqual(yield* stateOf("keyed"), "Unknown")
        assert.strictEqual(transport.sent.length, 4)
      })
    )
  )

  it.effect("keyed counts the window from the first send of an earlier call, not from its own", () =>
    inScenario(
      Effect.gen(function* () {
        const { call, transport } = yield* world(() => Fake.broken("ECONNRESET"), {
          policy: { policy: { breaker: { consecutiveFailures: 100 } } }
        })
        yield* call("keyed")
        yield* TestClock.setTime(10 * hour)

        assert.deepNestedInclude(yield* call("keyed"), {
          class: "RetryableError",
          sent: "unknown",
          retryUntil: 23 * hour
        })
        assert.strictEqual(transport.sent.length, 8)
      })
    )
  )

  it.effect("keyed that goes on stays in doubt, also where this time it was refused before work", () =>
    inScenario(
      Effect.gen(function* () {
        const { call, stateOf } = yield* world((n) => (n <= 4 ? Fake.broken("ECONNRESET") : Fake.empty(429)), {
          policy: { policy: { breaker: { consecutiveFailures: 100 } } }
        })
        yield* call("keyed")

        assert.deepNestedInclude(yield* call("keyed"), { class: "RetryableError", sent: "unknown" })
        assert.strictEqual(yield* stateOf("keyed"), "Pending")
      })
    )
  )

  it.effect("unsafe is marked as sent when its request leaves, and not while it waits", () =>
    inScenario(
      Effect.gen(function* () {
        const { acme, remembering, store } = yield* world([Fake.late(1000, Fake.json(order)), Fake.silent], {
          policy: { policy: { bulkhead: { concurrency: 1, queue: 8 } } }
        })
        yield* Effect.forkChild(acme.orders.get({ params: { id: "o1" } }), { startImmediately: true })
        yield* Effect.forkChild(remembering(unsafe(acme)), { startImmediately: true })
        const waiting = yield* store.get(id.unsafe)
        yield* TestClock.adjust("1 second")
        const sending = yield* store.get(id.unsafe)

        assert.deepStrictEqual(
          [waiting, sending].map((row) => [row?.state, row?.firstSentAt]),
          [
            ["InFlight", undefined],
            ["InFlight", 1000]
          ]
        )
      })
    )
  )

  it.effect("unsafe is not sent where it was stopped while its record was written", () =>
    inScenario(
      Effect.gen(function* () {
        const store = memory()
        const slow = {
          ...store,
          sending: (...args: Parameters<typeof store.sending>) => Effect.delay(store.sending(...args), 1000)
        }
        const { acme, remembering, stateOf, transport } = yield* world([Fake.json(order)], { store: slow })
        const fiber = yield* Effect.forkChild(run(remembering(unsafe(acme)), "10 seconds"), { startImmediately: true })
        yield* Calls.stop({ provider: "acme", by: "ana" })

        assert.deepNestedInclude((yield* Fiber.join(fiber)).outcome, {
          class: "RetryableError",
          attempts: 0,
          "reason._tag": "Stopped",
          sent: "no"
        })
        assert.strictEqual(yield* stateOf("unsafe"), "Absent")
        assert.strictEqual(transport.sent.length, 0)
      })
    )
  )

  it.effect("unsafe whose process died under way is unknown when its lease has ended", () =>
    inScenario(
      Effect.gen(function* () {
        const { call, store, transport } = yield* world([Fake.json(order)])
        yield* call("unsafe")
        const fingerprint = (yield* store.get(id.unsafe))?.fingerprint ?? ""
        yield* TestClock.setTime(48 * hour)
        const claimed = yield* store.claim({ ...id.unsafe, fingerprint, leaseMillis: 1000, windowMillis: 0 })
        if (claimed._tag === "Granted") yield* store.sending(claimed.claim, 1000)
        yield* TestClock.adjust("1 second")

        assert.deepNestedInclude(yield* call("unsafe"), { class: "OutcomeUnknown", "reason._tag": "Unresolved" })
        assert.strictEqual(transport.sent.length, 1)
      })
    )
  )

  it.effect("unsafe is never sent again after an attempt that was lost", () =>
    inScenario(
      Effect.gen(function* () {
        const { call, stateOf, transport } = yield* world([Fake.broken("ECONNRESET"), Fake.json(order)])
        yield* TestClock.setTime(1000)

        assert.deepNestedInclude(yield* call("unsafe"), { class: "OutcomeUnknown", attempts: 1 })
        assert.strictEqual(yield* stateOf("unsafe"), "Unknown")
        assert.deepStrictEqual(yield* call("unsafe"), {
          class: "OutcomeUnknown",
          attempts: 0,
          reason: { _tag: "Unresolved" },
          firstSentAt: 1000
        })
        assert.strictEqual(transport.sent.length, 1)
      })
    )
  )

  it.effect.each(kinds)("%s refuses its key for another request", (kind) =>
    inScenario(
      Effect.gen(function* () {
        const { call, transport } = yield* world([Fake.json(order)])
        yield* call(kind)

        assert.deepStrictEqual(yield* call(kind, 2), {
          class: "FatalError",
          attempts: 0,
          reason: { _tag: "IdempotencyMismatch", detail: "the key was used for another request before" }
        })
        assert.strictEqual(transport.sent.length, 1)
      })
    )
  )

  it.effect.each(kinds)("%s is locked while another call is at it, and says for how long", (kind) =>
    inScenario(
      Effect.gen(function* () {
        const { acme, call, remembering, transport } = yield* world([Fake.silent])
        yield* Effect.forkChild(remembering(writes[kind](acme)), { startImmediately: true })
        yield* TestClock.adjust("1 second")

        assert.deepStrictEqual(yield* call(kind), {
          class: "RetryableError",
          attempts: 0,
          reason: { _tag: "Locked", retryAfter: 34_000 },
          sent: "unknown",
          retryAfter: 34_000
        })
        assert.strictEqual(transport.sent.length, 1)
      })
    )
  )

  it.effect.each([
    { kind: "keyed" as const, state: "Pending" },
    { kind: "unsafe" as const, state: "Unknown" }
  ])("$kind that is interrupted under way leaves $state", ({ kind, state }) =>
    inScenario(
      Effect.gen(function* () {
        const { acme, remembering, stateOf, transport } = yield* world([Fake.silent])
        const fiber = yield* Effect.forkChild(remembering(writes[kind](acme)), { startImmediately: true })
        yield* TestClock.adjust("1 second")
        yield* Fiber.interrupt(fiber)

        assert.strictEqual(yield* stateOf(kind), state)
        assert.strictEqual(transport.open(), 0)
      })
    )
  )

  it.effect.each(kinds)("%s that is interrupted before anything is sent leaves nothing", (kind) =>
    inScenario(
      Effect.gen(function* () {
        const { acme, remembering, stateOf, transport } = yield* world([Fake.silent], {
          policy: { policy: { bulkhead: { concurrency: 1, queue: 8 } } }
        })
        yield* Effect.forkChild(acme.orders.get({ params: { id: "o1" } }), { startImmediately: true })
        const fiber = yield* Effect.forkChild(remembering(writes[kind](acme)), { startImmediately: true })
        yield* TestClock.adjust("1 second")
        yield* Fiber.interrupt(fiber)

        assert.strictEqual(yield* stateOf(kind), "Absent")
        assert.strictEqual(transport.sent.length, 1)
      })
    )
  )

  it.effect("keyed that dies under way may be sent again, unsafe may not", () =>
    inScenario(
      Effect.gen(function* () {
        const dying: Fake.Step = () => Effect.die(new Error("a bug"))
        const { call, stateOf } = yield* world([dying])

        assert.deepStrictEqual(yield* call("keyed"), { defect: "Error: a bug" })
        assert.deepStrictEqual(yield* call("unsafe"), { defect: "Error: a bug" })
        assert.deepStrictEqual([yield* stateOf("keyed"), yield* stateOf("unsafe")], ["Pending", "Unknown"])
      })
    )
  )

  it.effect("reads ignore it", () =>
    inScenario(
      Effect.gen(function* () {
        const { acme, remembering, store, transport } = yield* world([Fake.json(order)])
        const read = acme.orders.get({ params: { id: "o1" } }).pipe(Idempotency.once("read"))
        yield* run(remembering(Effect.andThen(read, read)))

        assert.strictEqual(transport.sent.length, 2)
        assert.deepStrictEqual(yield* store.list({ states: ["Absent", "Succeeded", "InFlight"], limit: 10 }), [])
      })
    )
  )

  it.effect("unsafe without a name has no record", () =>
    inScenario(
      Effect.gen(function* () {
        const { acme, remembering, store, transport } = yield* world([Fake.json(order)])
        const capture = acme.orders.capture({ params: { id: "o1" }, payload: { amount: 1 } })
        yield* run(remembering(Effect.andThen(capture, capture)))

        assert.strictEqual(transport.sent.length, 2)
        assert.deepStrictEqual(yield* store.list({ states: ["Succeeded"], limit: 10 }), [])
      })
    )
  )

  it.effect("comes from the layer where the caller has no store", () =>
    inScenario(
      Effect.gen(function* () {
        const store = memory()
        const transport = Fake.make([Fake.json(order), Fake.empty(500)])
        const acme = yield* Acme.connect(transport).pipe(Effect.provideService(IdempotencyStore, store))
        yield* run(keyed(acme))

        assert.deepStrictEqual((yield* run(keyed(acme))).outcome, { value: order })
        assert.strictEqual((yield* store.get(id.keyed))?.state, "Succeeded")
        assert.strictEqual(transport.sent.length, 1)
      })
    )
  )

  it.effect("without a store only the provider remembers a key, and a name is refused", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.json(order)])
        const acme = yield* Acme.connect(transport)
        yield* run(keyed(acme))
        yield* run(keyed(acme))

        assert.strictEqual(transport.sent.length, 2)
        assert.deepStrictEqual((yield* run(unsafe(acme))).outcome, {
          class: "FatalError",
          attempts: 0,
          reason: {
            _tag: "InvalidRequest",
            field: "idempotency store",
            detail: "is required by Idempotency.once: provide one, such as Stores.layerSqlite"
          }
        })
        assert.strictEqual(transport.sent.length, 2)
      })
    )
  )

  it.effect("the start line says whether there is one", () => {
    const book = new LogBook()
    return inScenario(
      Effect.gen(function* () {
        yield* Acme.connect(Fake.make([])).pipe(Effect.provideService(IdempotencyStore, memory()))
        yield* Acme.connect(Fake.make([]))

        assert.deepStrictEqual(
          book.of("Info").map(({ message }) => message.split(", ").at(-1)),
          ["records: yes", "records: no"]
        )
      }),
      book
    )
  })

  it.effect("keeps the checks of one run: a key that succeeded in it is refused, not replayed", () =>
    inScenario(
      Effect.gen(function* () {
        const { acme, remembering, transport } = yield* world([Fake.json(order)])
        const create = acme.orders.create({ payload: { amount: 1 } })
        const { outcome } = yield* run(remembering(Effect.andThen(create, create).pipe(Idempotency.withKey("k"))))

        assert.deepNestedInclude(outcome, { "reason.detail": "was used for a call that succeeded" })
        assert.strictEqual(transport.sent.length, 1)
      })
    )
  )
})

describe("a replay", () => {
  it.effect("says where its value comes from, and how old it is", () =>
    inScenario(
      Effect.gen(function* () {
        const { acme, remembering } = yield* world([Fake.json(order, 200, { "acme-request-id": "req_7" })])
        const captured = remembering(Answer.capture(keyed(acme)))
        const { outcome: live } = yield* run(captured)
        yield* TestClock.adjust("1 hour")
        const { outcome: again } = yield* run(captured)

        assert.deepNestedInclude(live, { "value.source": "live" })
        assert.deepStrictEqual(again, {
          value: {
            source: "cached",
            age: Duration.hours(1),
            operation: "acme.orders.create",
            requestId: "req_7",
            value: order
          }
        })
      })
    )
  )

  it.effect("of an error is no failure of now", () =>
    inScenario(
      Effect.gen(function* () {
        const { call } = yield* world([Fake.empty(422)])
        yield* TestClock.setTime(1000)
        yield* call("keyed")
        yield* TestClock.adjust("1 hour")
        yield* call("keyed")
        const { connections } = yield* Health.snapshot

        assert.strictEqual(connections[0]?.lastFailure?.at, "1970-01-01T00:00:01.000Z")
      })
    )
  )

  it.effect("is an attribute of its span and a count, and never the key", () => {
    const recorder = new Recorder()
    const book = new LogBook()
    return inScenario(
      Effect.gen(function* () {
        const { call } = yield* world([Fake.json(order)])
        yield* Effect.withTracer(call("keyed"), recorder.tracer)
        yield* Effect.withTracer(call("keyed"), recorder.tracer)
        const ofCalls = recorder.spans.filter(({ name }) => name === "acme.orders.create")

        assert.deepStrictEqual(
          ofCalls.map(({ attributes }) => attributes["breakwater.replayed"]),
          [undefined, true]
        )
        assert.notInclude(JSON.stringify([recorder.spans, book.lines]), "order/1/charge")
        assert.deepInclude(yield* counted, {
          "breakwater.record.claims acme.orders.create outcome=granted": 1,
          "breakwater.record.claims acme.orders.create outcome=replayed": 1
        })
      }),
      book
    )
  })
})

/** A store of which one request fails. */
const failing = (
  operation: "claim" | "sending" | "settle",
  failure: Effect.Effect<never, ReturnType<typeof storeError> | StaleClaim>,
  times = Number.POSITIVE_INFINITY
) => {
  const store = memory()
  let left = times
  const fail = <A, E>(effect: Effect.Effect<A, E>) =>
    Effect.suspend((): Effect.Effect<A, E> => (left-- > 0 ? (failure as Effect.Effect<never, E>) : effect))
  return IdempotencyStore.of({
    ...store,
    claim: (request) => (operation === "claim" ? fail(store.claim(request)) : store.claim(request)),
    sending: (claim, lease) =>
      operation === "sending" ? fail(store.sending(claim, lease)) : store.sending(claim, lease),
    settle: (claim, settlement) =>
      operation === "settle" ? fail(store.settle(claim, settlement)) : store.settle(claim, settlement)
  })
}

const problemAt = (operation: "claim" | "sending" | "settle", problem: Problem, detail = "") =>
  Effect.fail(storeError({ store: "idempotency", operation }, problem, detail))

describe("a store that is down", () => {
  const retryable = ["unavailable", "timeout", "busy", "full", "failed"] as const

  it.effect.each(kinds.flatMap((kind) => retryable.map((problem) => ({ kind, problem }))))(
    "refuses $kind at its claim: $problem",
    ({ kind, problem }) =>
      inScenario(
        Effect.gen(function* () {
          const { call, transport } = yield* world([Fake.json(order)], {
            store: failing("claim", problemAt("claim", problem))
          })

          assert.deepStrictEqual(yield* call(kind), {
            class: "RetryableError",
            attempts: 0,
            reason: { _tag: "StoreUnavailable", store: "idempotency", operation: "claim", problem },
            sent: "no"
          })
          assert.strictEqual(transport.sent.length, 0)
          assert.strictEqual(
            (yield* counted)[
              `breakwater.record.claims acme.orders.${kind === "keyed" ? "create" : "capture"} outcome=unclaimed`
            ],
            1
          )
        })
      )
  )

  it.effect.each(["newer", "corrupt", "in transaction"] as const)(
    "refuses a write for good whose record is %s",
    (problem) =>
      inScenario(
        Effect.gen(function* () {
          const { call, transport } = yield* world([Fake.json(order)], {
            store: failing("claim", problemAt("claim", problem))
          })

          assert.deepStrictEqual(yield* call("keyed"), {
            class: "FatalError",
            attempts: 0,
            reason: { _tag: "RecordUnusable", problem }
          })
          assert.strictEqual(transport.sent.length, 0)
        })
      )
  )

  it.effect("names the field that it does not take", () =>
    inScenario(
      Effect.gen(function* () {
        const { call } = yield* world([Fake.json(order)], {
          store: failing("claim", problemAt("claim", "invalid", "key must have 1 to 512 characters, has 600"))
        })

        assert.deepStrictEqual(yield* call("keyed"), {
          class: "FatalError",
          attempts: 0,
          reason: { _tag: "InvalidRequest", field: "idempotency key", detail: "must have 1 to 512 characters, has 600" }
        })
      })
    )
  )

  it.effect("is not waited for beyond the deadline, and its claim is given back when it comes", () =>
    inScenario(
      Effect.gen(function* () {
        const store = memory()
        const slow = IdempotencyStore.of({
          ...store,
          claim: (request) => Effect.delay(store.claim(request), "10 seconds")
        })
        const { acme, remembering, stateOf, transport } = yield* world([Fake.json(order)], { store: slow })
        const fiber = yield* Effect.forkChild(
          Effect.flip(remembering(keyed(acme).pipe(Call.withDeadline("3 seconds")))),
          { startImmediately: true }
        )
        yield* TestClock.adjust("3 seconds")
        const error = yield* Fiber.join(fiber)

        assert.strictEqual(error._tag === "RetryableError" && error.reason._tag, "StoreUnavailable")
        yield* TestClock.adjust("7 seconds")
        assert.strictEqual(yield* stateOf("keyed"), "Absent")
        assert.strictEqual(transport.sent.length, 0)
      })
    )
  )

  it.effect("gives a claim back that its caller interrupted", () =>
    inScenario(
      Effect.gen(function* () {
        const store = memory()
        const slow = IdempotencyStore.of({
          ...store,
          claim: (request) => Effect.delay(store.claim(request), "2 seconds")
        })
        const { acme, remembering, stateOf } = yield* world([Fake.json(order)], { store: slow })
        const fiber = yield* Effect.forkChild(remembering(keyed(acme)), { startImmediately: true })
        yield* TestClock.adjust("1 second")
        const interrupting = yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(interrupting)

        assert.strictEqual(yield* stateOf("keyed"), "Absent")
      })
    )
  )

  it.effect("refuses unsafe when it cannot be told that the request leaves", () =>
    inScenario(
      Effect.gen(function* () {
        const { call, stateOf, transport } = yield* world([Fake.json(order)], {
          store: failing("sending", problemAt("sending", "unavailable"))
        })

        assert.deepNestedInclude(yield* call("unsafe"), {
          class: "RetryableError",
          "reason.operation": "sending",
          sent: "no"
        })
        assert.strictEqual(transport.sent.length, 0)
        assert.strictEqual(yield* stateOf("unsafe"), "Absent")
      })
    )
  )

  it.effect("does not send unsafe when the claim was lost meanwhile", () =>
    inScenario(
      Effect.gen(function* () {
        const stale = new StaleClaim({ store: "idempotency", operation: "sending", fence: 1, current: 2 })
        const { call, transport } = yield* world([Fake.json(order)], { store: failing("sending", Effect.fail(stale)) })

        assert.deepNestedInclude(yield* call("unsafe"), {
          class: "RetryableError",
          "reason._tag": "Locked",
          sent: "unknown"
        })
        assert.strictEqual(transport.sent.length, 0)
      })
    )
  )

  it.effect.each(kinds)("takes no answer away from %s at its end: a line and a count tell of it", (kind) => {
    const book = new LogBook()
    return inScenario(
      Effect.gen(function* () {
        const { call, stateOf } = yield* world([Fake.json(order)], {
          store: failing("settle", problemAt("settle", "unavailable"))
        })
        const operation = kind === "keyed" ? "create" : "capture"

        assert.deepStrictEqual(yield* call(kind), { value: order })
        assert.strictEqual(yield* stateOf(kind), "InFlight")
        assert.deepStrictEqual(
          book.of("Warn").map(({ message }) => message),
          [`acme.orders.${operation}: its idempotency record could not be settled: unavailable`]
        )
        assert.strictEqual(
          (yield* counted)[`breakwater.record.unsettled acme.orders.${operation} reason=unavailable`],
          1
        )
      }),
      book
    )
  })

  it.effect("is not waited for at the end for longer than five seconds", () =>
    inScenario(
      Effect.gen(function* () {
        const { acme, remembering } = yield* world([Fake.json(order)], { store: failing("settle", Effect.never) })

        assert.deepStrictEqual(yield* run(remembering(keyed(acme))), { outcome: { value: order }, took: 5000 })
      })
    )
  )
})

describe("a store in memory, which is asked at once", () => {
  it.effect("refuses a call that it has no room for, and sends nothing", () =>
    inScenario(
      Effect.gen(function* () {
        const store = memory({ capacity: 1 })
        const { call, transport } = yield* world([Fake.json(order)], { store })
        yield* store.claim({ scope: "another", key: "key", fingerprint: "", leaseMillis: hour, sendsNow: true })

        assert.deepStrictEqual(yield* call("keyed"), {
          class: "RetryableError",
          attempts: 0,
          reason: { _tag: "StoreUnavailable", store: "idempotency", operation: "claim", problem: "full" },
          sent: "no"
        })
        assert.strictEqual(transport.sent.length, 0)
      })
    )
  )

  it.effect.each(kinds)("takes no answer away from %s whose record somebody else has settled", (kind) => {
    const book = new LogBook()
    return inScenario(
      Effect.gen(function* () {
        const { acme, remembering, stateOf, store } = yield* world([Fake.late(1000, Fake.json(order))])
        const fiber = yield* Effect.forkChild(remembering(writes[kind](acme) as Effect.Effect<unknown, unknown>), {
          startImmediately: true
        })
        const row = yield* store.get(id[kind])
        const claim = { ...id[kind], fence: row?.fence ?? 0, leaseUntil: 0, firstSentAt: undefined, takenOver: false }
        yield* store.settle(claim, { _tag: "Pending" })
        yield* TestClock.adjust("1 second")

        assert.deepStrictEqual(yield* Fiber.join(fiber), order)
        assert.strictEqual(yield* stateOf(kind), "Pending")
        assert.deepStrictEqual(
          book.of("Warn").map(({ message }) => message),
          [`acme.orders.${kind === "keyed" ? "create" : "capture"}: its idempotency record could not be settled: stale`]
        )
      }),
      book
    )
  })

  it.effect.each(kinds)("is told what became of %s that its caller interrupts", (kind) =>
    inScenario(
      Effect.gen(function* () {
        const { acme, remembering, stateOf } = yield* world([Fake.late(1000, Fake.json(order))])
        const fiber = yield* Effect.forkChild(remembering(writes[kind](acme) as Effect.Effect<unknown, unknown>), {
          startImmediately: true
        })
        assert.strictEqual(yield* stateOf(kind), "InFlight")
        yield* Fiber.interrupt(fiber)

        assert.strictEqual(yield* stateOf(kind), kind === "keyed" ? "Pending" : "Unknown")
      })
    )
  )
})

describe("an answer that cannot be kept", () => {
  it.effect.each(kinds)("of %s is done all the same: a second call is told that, and sends nothing", (kind) =>
    inScenario(
      Effect.gen(function* () {
        const { call, stateOf, transport } = yield* world([Fake.json(order)], {
          store: memory({ maxPayloadBytes: 60 })
        })

        assert.deepStrictEqual(yield* call(kind), { value: order })
        assert.strictEqual(yield* stateOf(kind), "Succeeded")
        assert.deepStrictEqual(yield* call(kind), {
          class: "FatalError",
          attempts: 0,
          reason: { _tag: "RecordUnusable", problem: "not kept" }
        })
        assert.strictEqual(transport.sent.length, 1)
      })
    )
  )

  const stored = (settlement: Settlement) =>
    Effect.gen(function* () {
      const { call, store, transport } = yield* world([Fake.json(order)])
      yield* call("keyed")
      const row = yield* store.get(id.keyed)
      yield* TestClock.adjust("2 days")
      const claim = yield* store.claim({ ...id.keyed, fingerprint: row?.fingerprint ?? "", leaseMillis: 1000 })
      if (claim._tag === "Granted") yield* store.settle(claim.claim, settlement)
      return { outcome: yield* call("keyed"), sent: transport.sent.length }
    })

  it.effect.each([
    ["of a newer version", { version: 2, value: {} }, "newer"],
    ["that is something else", { version: 1, value: "done" }, "corrupt"],
    ["that does not fit any more", { version: 1, value: { at: 0, outcome: { status: "200" } } }, "unreadable"],
    [
      "that reads as a failure that may pass",
      { version: 1, value: { at: 0, outcome: { status: 503, headers: {}, text: "" } } },
      "unreadable"
    ]
  ] as const)("%s sends nothing", ([, payload, problem]) =>
    inScenario(
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* stored({ _tag: "Succeeded", payload, retentionMillis: hour }), {
          outcome: { class: "FatalError", attempts: 0, reason: { _tag: "RecordUnusable", problem } },
          sent: 1
        })
      })
    )
  )
})
