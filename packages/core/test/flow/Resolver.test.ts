import { assert, describe, it } from "@effect/vitest"
import { Call, Doubts, Idempotency, IdempotencyStore, Resolver } from "@breakwater/core"
import { scopeOf } from "@breakwater/core/IdempotencyRecord"
import * as Telemetry from "@breakwater/core/Telemetry"
import { Clock, Deferred, Effect, Exit, Fiber, Layer, Metric, Scope, identity } from "effect"
import { TestClock } from "effect/testing"
import * as Fake from "../support/FakeTransport.ts"
import { inScenario, LogBook, run } from "../support/Scenario.ts"
import { inDoubt, stored, withStore } from "./support/Doubt.ts"
import * as Post from "./support/Post.ts"

const minute = 60_000
const key = "order/1/letter"
const letter = { id: "l1", reference: key }
const payload = { to: "ada" }
const lost = Fake.broken("ECONNRESET")
const found = Fake.json({ letters: [{ id: "l0" }, letter], more: true })
const none = Fake.json({ letters: [], more: false })
const full = Fake.json({ letters: [{ id: "l0" }], more: true })

const nothing = { done: 0, undone: 0, stays: 0, unanswered: 0, "moved on": 0 }
const unknown = {
  class: "OutcomeUnknown",
  attempts: 1,
  firstSentAt: 0,
  reason: { _tag: "TransportFailed", code: "ECONNRESET" }
}

const paths = (sent: ReadonlyArray<Fake.Sent>) => sent.map(({ at, method, url }) => `${at} ${method} ${url}`)
const send = "POST https://post.test/v1/letters"
const ask = `GET https://post.test/v1/letters?reference=${encodeURIComponent(key)}&since=0`

describe("Resolver.orLookup", () => {
  const sending = (
    script: Fake.Script,
    more: (post: Effect.Effect<unknown, unknown>) => Effect.Effect<unknown, unknown>
  ) =>
    Effect.gen(function* () {
      const transport = Fake.make(script)
      const post = yield* Post.connect(transport)
      const sent = post.letters.send({ payload }).pipe(Resolver.orLookup, Idempotency.once(key))
      const ended = yield* run(more(sent))
      return { ...ended, sent: transport.sent }
    })

  it.effect("gives the value of a write that was made, found by the key that it was sent with", () =>
    inScenario(
      Effect.gen(function* () {
        const { outcome, sent, took } = yield* sending([lost, found], (call) => call)

        assert.deepStrictEqual([outcome, took], [{ value: letter }, 0])
        assert.deepStrictEqual(paths(sent), [`0 ${send}`, `0 ${ask}`])
        assert.deepStrictEqual(JSON.parse(sent[0]?.body ?? ""), { to: "ada", meta: { reference: key } })
      })
    )
  )

  it.effect("leaves it in doubt where absence cannot count before the deadline", () =>
    inScenario(
      Effect.gen(function* () {
        const { outcome, sent, took } = yield* sending([lost, none], (call) => call)

        assert.deepStrictEqual([outcome, took], [unknown, 0])
        assert.deepStrictEqual(paths(sent), [`0 ${send}`, `0 ${ask}`])
      })
    )
  )

  it.effect("looks once more as soon as absence counts, if that is before the deadline", () =>
    inScenario(
      Effect.gen(function* () {
        const patient = yield* sending([lost, none, found], Call.withDeadline("10 minutes"))
        const { outcome, sent, took } = yield* sending([lost, none, found], Call.withDeadline("11 minutes"))

        assert.deepStrictEqual([patient.outcome, patient.took], [unknown, 0])
        assert.deepStrictEqual([outcome, took], [{ value: letter }, 10 * minute])
        assert.lengthOf(sent, 3)
      })
    )
  )

  it.effect("never sends again, whatever it finds", () =>
    inScenario(
      Effect.gen(function* () {
        for (const answer of [none, full, Fake.json({}, 500), Fake.json({}, 403), Fake.json({ letters: [null] })]) {
          const { outcome, sent } = yield* sending([lost, answer], (call) => call)
          const { firstSentAt } = outcome as typeof unknown

          assert.deepStrictEqual(outcome, { ...unknown, firstSentAt })
          assert.lengthOf(
            sent.filter(({ method }) => method === "POST"),
            1
          )
        }
      })
    )
  )

  it.effect("settles the record that is in doubt, of the caller's store or else of the layer's", () =>
    inScenario(
      Effect.gen(function* () {
        const lookedUp = Effect.fnUntraced(function* (store: "the caller's" | "the layer's", answer: Fake.Step) {
          const records = IdempotencyStore.memory()
          const provided = Effect.provideService(IdempotencyStore.IdempotencyStore, records)
          const transport = Fake.make((_, { method }) => (method === "POST" ? lost : answer))
          const post = yield* Post.connect(transport).pipe(store === "the layer's" ? provided : identity)
          const first = post.letters.send({ payload }).pipe(Idempotency.once(key))
          const id = {
            scope: scopeOf({ operation: "post.letters.send", connection: "default", environment: "sandbox" }),
            key
          }
          yield* run(store === "the layer's" ? first : provided(first))
          // Where the call has left no record, one like it.
          if ((yield* records.get(id)) === undefined) yield* provided(inDoubt("post.letters.send", key))
          const since = yield* Clock.currentTimeMillis
          yield* TestClock.adjust(10 * minute)
          const sent = post.letters.send({ payload }).pipe(Resolver.orLookup, Idempotency.once(key))
          const { outcome } = yield* run(store === "the layer's" ? sent : provided(sent))
          // Since the first request of all, not of this call.
          assert.strictEqual(transport.sent.at(-1)?.url, ask.slice("GET ".length).replace("since=0", `since=${since}`))
          return [(outcome as { value?: unknown }).value, (yield* provided(stored(id)))[0]]
        })

        assert.deepStrictEqual(yield* lookedUp("the caller's", found), [letter, "Succeeded"])
        assert.deepStrictEqual(yield* lookedUp("the layer's", found), [letter, "Succeeded"])
        assert.deepStrictEqual(yield* lookedUp("the caller's", none), [undefined, "Absent"])
        assert.deepStrictEqual(yield* lookedUp("the caller's", full), [undefined, "Unknown"])
      })
    )
  )

  it.effect("changes nothing for a call without a key, without a declared look-up, or without the combinator", () =>
    inScenario(
      withStore(
        Effect.gen(function* () {
          const transport = Fake.make([lost])
          const post = yield* Post.connect(transport)

          yield* run(Resolver.orLookup(post.letters.send({ payload })))
          yield* run(post.letters.shout({ payload }).pipe(Resolver.orLookup, Idempotency.once(key)))
          yield* run(post.letters.fax({ payload }).pipe(Resolver.orLookup, Idempotency.once(key)))
          yield* run(post.letters.send({ payload }).pipe(Idempotency.once(key)))

          assert.deepStrictEqual(
            transport.sent.map(({ method }) => method),
            ["POST", "POST", "POST", "POST"]
          )
        })
      )
    )
  )

  it.effect("refuses a reference that is not the key, before anything is sent", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.json(letter)])
        const post = yield* Post.connect(transport)
        const same = { to: "ada", meta: { reference: key } }
        const other = { to: "ada", meta: { reference: "mine" } }
        const first = yield* run(post.letters.send({ payload: same }).pipe(Idempotency.once(key)))
        const second = yield* run(post.letters.send({ payload: other }).pipe(Idempotency.once(key)))

        assert.deepStrictEqual(first.outcome, { value: letter })
        assert.deepStrictEqual(second.outcome, {
          class: "FatalError",
          attempts: 0,
          reason: {
            _tag: "InvalidRequest",
            field: "payload.meta.reference",
            detail: "must be left out or be the key: the write is found by it"
          }
        })
        assert.lengthOf(transport.sent, 1)
      })
    )
  )
})

describe("Resolver.createIfAbsent", () => {
  const creating = (script: Fake.Script) =>
    Effect.gen(function* () {
      const transport = Fake.make(script)
      const post = yield* Post.connect(transport)
      const { outcome } = yield* run(
        post.letters.send({ payload }).pipe(Resolver.createIfAbsent, Idempotency.once(key))
      )
      return [outcome, transport.sent.map(({ method }) => method)]
    })

  it.effect("gives what is there, creates what is not, and does neither where the answer does not tell", () =>
    inScenario(
      Effect.gen(function* () {
        const detail = "cannot be kept: the look-up does not tell whether it is there"

        assert.deepStrictEqual(yield* creating([found]), [{ value: letter }, ["GET"]])
        assert.deepStrictEqual(yield* creating([none, Fake.json(letter)]), [{ value: letter }, ["GET", "POST"]])
        assert.deepStrictEqual(yield* creating([full]), [
          {
            class: "FatalError",
            attempts: 0,
            reason: { _tag: "InvalidRequest", field: "createIfAbsent", detail }
          },
          ["GET"]
        ])
        assert.deepStrictEqual(yield* creating([Fake.json({}, 403)]), [
          { class: "FatalError", attempts: 1, reason: { _tag: "PermissionDenied", status: 403 } },
          ["GET"]
        ])
      })
    )
  )
})

describe("Resolver.sweep", () => {
  const sweeping = Effect.fnUntraced(function* (operation: string, script: Fake.Script, afterMillis: number) {
    const transport = Fake.make(script)
    const post = yield* Post.connect(transport)
    const id = yield* inDoubt(operation, key)
    yield* TestClock.adjust(afterMillis)
    const swept = yield* Resolver.sweep()
    return { post, id, swept, sent: transport.sent, state: yield* stored(id) }
  })

  it.effect("stores the answer of a write that was made, so that a later call is given its value", () =>
    inScenario(
      withStore(
        Effect.gen(function* () {
          const { sent, state, swept } = yield* sweeping("post.letters.send", [found], 0)

          assert.deepStrictEqual(swept, { ...nothing, done: 1 })
          assert.deepStrictEqual(state, [
            "Succeeded",
            {
              at: 0,
              outcome: { status: 200, headers: { "content-type": "application/json" }, text: JSON.stringify(letter) }
            }
          ])
          assert.deepStrictEqual(paths(sent), [`0 ${ask}`])
          assert.deepStrictEqual(
            yield* Metric.value(
              Metric.withAttributes(Telemetry.resolutions, {
                "breakwater.provider": "post",
                "breakwater.operation": "post.letters.send",
                "breakwater.environment": "sandbox",
                "breakwater.outcome": "done"
              })
            ),
            { count: 1, incremental: true }
          )
        })
      )
    )
  )

  it.effect("frees the key of a write that is absent when absence counts, and not a moment before", () =>
    inScenario(
      withStore(
        Effect.gen(function* () {
          const early = yield* sweeping("post.letters.send", [none], 10 * minute - 1)

          assert.deepStrictEqual([early.swept, early.state], [{ ...nothing, stays: 1 }, ["Unknown", undefined]])

          yield* TestClock.adjust(1)
          assert.deepStrictEqual(yield* Resolver.sweep(), { ...nothing, undone: 1 })
          assert.deepStrictEqual(yield* stored(early.id), ["Absent", undefined])
          assert.deepStrictEqual(yield* Resolver.sweep(), nothing)
        })
      )
    )
  )

  it.effect("counts from when the record came into doubt: until then a request may have left", () =>
    inScenario(
      withStore(
        Effect.gen(function* () {
          yield* Post.connect(Fake.make([none]))
          yield* inDoubt("post.letters.send", key, { after: "5 minutes" })

          yield* TestClock.adjust("5 minutes")
          assert.deepStrictEqual(yield* Resolver.sweep(), { ...nothing, stays: 1 })
          yield* TestClock.adjust("5 minutes")
          assert.deepStrictEqual(yield* Resolver.sweep(), { ...nothing, undone: 1 })
        })
      )
    )
  )

  it.effect("looks in the class import, so that it is in nobody's way", () =>
    inScenario(
      withStore(
        Effect.gen(function* () {
          const policy = { classes: { import: { deadline: "1 second" } } } as const
          yield* Post.connect(Fake.make([Fake.late(2000, found)]), { policy })
          yield* inDoubt("post.letters.send", key)
          const { outcome } = yield* run(Resolver.sweep())

          assert.deepStrictEqual(outcome, { value: { ...nothing, unanswered: 1 } })
        })
      )
    )
  )

  it.effect("leaves in doubt what the answer does not tell, and what cannot be asked, and says so", () => {
    const book = new LogBook()
    return inScenario(
      withStore(
        Effect.gen(function* () {
          const untold = yield* sweeping("post.letters.send", [full], 60 * minute)
          assert.deepStrictEqual([untold.swept, untold.state], [{ ...nothing, stays: 1 }, ["Unknown", undefined]])
        })
      ).pipe(
        Effect.andThen(
          withStore(
            Effect.gen(function* () {
              const failed = yield* sweeping("post.letters.send", [Fake.json({}, 403)], 60 * minute)
              assert.deepStrictEqual(
                [failed.swept, failed.state],
                [{ ...nothing, unanswered: 1 }, ["Unknown", undefined]]
              )
            })
          )
        ),
        Effect.andThen(() => {
          const line = book.of("Warn").find(({ message }) => message.includes("stays unknown"))
          assert.deepStrictEqual(line, {
            level: "Warn",
            message:
              "post.letters.send: the outcome stays unknown, since finding out failed: post.letters.find: permission denied (403)",
            fields: {
              third_party: "post",
              operation: "post.letters.send",
              connection: "default",
              event: "resolution failed"
            }
          })
          return Effect.void
        })
      ),
      book
    )
  })

  it.effect("undoes what is declared so, once nothing of it can be on its way, also where there is nothing", () =>
    inScenario(
      withStore(
        Effect.gen(function* () {
          const early = yield* sweeping("post.letters.fax", [Fake.json({}, 404)], 10 * minute - 1)
          assert.deepStrictEqual([early.swept, early.sent.length], [{ ...nothing, stays: 1 }, 0])

          yield* TestClock.adjust(1)
          assert.deepStrictEqual(yield* Resolver.sweep(), { ...nothing, undone: 1 })
          assert.deepStrictEqual(paths(early.sent), [
            `${10 * minute} DELETE https://post.test/v1/letters/${encodeURIComponent(key)}`
          ])
          assert.deepStrictEqual(yield* stored(early.id), ["Absent", undefined])
        })
      )
    )
  )

  it.effect("asks nobody about what an operator must settle, or what nobody declares", () =>
    inScenario(
      withStore(
        Effect.gen(function* () {
          yield* inDoubt("post.letters.whisper", key)
          yield* inDoubt("other.thing", key)
          const { sent, state, swept } = yield* sweeping("post.letters.shout", [found], 60 * minute)

          assert.deepStrictEqual([swept, state, sent.length], [nothing, ["Unknown", undefined], 0])
        })
      )
    )
  )

  it.effect("leaves alone a record that moved on while it looked", () =>
    inScenario(
      withStore(
        Effect.gen(function* () {
          const store = yield* IdempotencyStore.IdempotencyStore
          const transport = Fake.make([Fake.late(1000, none)])
          yield* Post.connect(transport)
          const id = yield* inDoubt("post.letters.send", key)
          yield* TestClock.adjust(60 * minute)
          const fiber = yield* Effect.forkChild(Resolver.sweep())
          yield* TestClock.adjust(500)
          const row = yield* store.get(id)
          const payload = { version: 1, value: "by hand" }
          yield* store.resolve(
            { ...id, fence: row?.fence ?? 0 },
            { _tag: "Succeeded", payload, retentionMillis: 60 * minute }
          )
          yield* TestClock.adjust(500)

          assert.deepStrictEqual(yield* Fiber.join(fiber), { ...nothing, "moved on": 1 })
          assert.deepStrictEqual(yield* stored(id), ["Succeeded", "by hand"])
        })
      )
    )
  )

  it.effect("brings into doubt what a dead process may have sent, and frees what it cannot have", () =>
    inScenario(
      withStore(
        Effect.gen(function* () {
          const store = yield* IdempotencyStore.IdempotencyStore
          const transport = Fake.make([none])
          yield* Post.connect(transport)
          const scope = scopeOf({ operation: "post.letters.send", connection: "default", environment: "sandbox" })
          const claim = { scope, fingerprint: "f", leaseMillis: minute, windowMillis: 0 }
          yield* store.claim({ ...claim, key: "sent", sendsNow: true })
          yield* store.claim({ ...claim, key: "claimed" })

          yield* TestClock.adjust(minute - 1)
          assert.deepStrictEqual(yield* Resolver.sweep(), nothing)
          yield* TestClock.adjust(1)
          assert.deepStrictEqual(yield* Resolver.sweep(), { ...nothing, stays: 1 })
          const states = yield* Effect.forEach(["sent", "claimed"], (key) => stored({ scope, key }))
          assert.deepStrictEqual(states, [
            ["Unknown", undefined],
            ["Absent", undefined]
          ])
          yield* TestClock.adjust(10 * minute)
          assert.deepStrictEqual(yield* Resolver.sweep(), { ...nothing, undone: 1 })
        })
      )
    )
  )

  it.effect("shows an operator what a dead process may have sent, where nobody else can find out", () =>
    inScenario(
      withStore(
        Effect.gen(function* () {
          const store = yield* IdempotencyStore.IdempotencyStore
          yield* Post.connect(Fake.make([none]))
          const scope = scopeOf({ operation: "post.letters.shout", connection: "default", environment: "sandbox" })
          yield* store.claim({ scope, key, fingerprint: "f", leaseMillis: minute, windowMillis: 0, sendsNow: true })
          yield* TestClock.adjust(minute)

          assert.deepStrictEqual(yield* Resolver.sweep(), nothing)
          assert.deepStrictEqual(
            (yield* Doubts.list()).map(({ key, way }) => [key, way]),
            [[key, "Ask"]]
          )
        })
      )
    )
  )

  it.effect("leaves a key that may be sent again to whoever sends, as long as that is so", () =>
    inScenario(
      withStore(
        Effect.gen(function* () {
          const store = yield* IdempotencyStore.IdempotencyStore
          yield* Post.connect(Fake.make([none]))
          const scope = scopeOf({ operation: "post.letters.register", connection: "default", environment: "sandbox" })
          const windowMillis = 23 * 60 * minute
          yield* store.claim({ scope, key, fingerprint: "f", leaseMillis: minute, windowMillis, sendsNow: true })

          yield* TestClock.adjust(windowMillis - 1)
          assert.deepStrictEqual(yield* Resolver.sweep(), nothing)
          assert.deepStrictEqual(yield* stored({ scope, key }), ["InFlight", undefined])
          const before = yield* store.get({ scope, key })
          assert.strictEqual(before?.changedAt, 0)

          yield* TestClock.adjust(1)
          assert.deepStrictEqual(yield* Resolver.sweep(), { ...nothing, stays: 1 })
          assert.deepStrictEqual(yield* stored({ scope, key }), ["Unknown", undefined])
        })
      )
    )
  )

  it.effect("looks into no more than its limit, and in the end into all", () =>
    inScenario(
      withStore(
        Effect.gen(function* () {
          const transport = Fake.make([none])
          yield* Post.connect(transport)
          yield* Effect.forEach(["a", "b", "c"], (each) => inDoubt("post.letters.send", each))
          yield* TestClock.adjust(60 * minute)

          assert.deepStrictEqual(yield* Resolver.sweep({ limit: 2 }), { ...nothing, undone: 2 })
          assert.deepStrictEqual(yield* Resolver.sweep({ limit: 2 }), { ...nothing, undone: 1 })
        })
      )
    )
  )

  it("refuses bounds out of range, naming the field and the rule", () => {
    const refused = (f: () => unknown) => {
      try {
        f()
        return undefined
      } catch (error) {
        return String(error)
      }
    }

    assert.strictEqual(
      refused(() => Resolver.sweep({ limit: 0 })),
      "RangeError: Resolver: limit must be a whole number from 1 to 1000, got 0"
    )
    assert.strictEqual(
      refused(() => Resolver.layer({ concurrency: 101 })),
      "RangeError: Resolver: concurrency must be a whole number from 1 to 100, got 101"
    )
    assert.strictEqual(
      refused(() => Resolver.layer({ every: 0 })),
      "RangeError: Resolver: every must be above 0"
    )
  })
})

describe("Resolver.layer", () => {
  it.effect("sweeps again and again, and a shutdown lets a look-up that has begun come to its end", () =>
    inScenario(
      withStore(
        Effect.gen(function* () {
          const begun = yield* Deferred.make<void>()
          const slow: Fake.Step = (request) =>
            Effect.andThen(Deferred.succeed(begun, undefined), Fake.late(2000, found)(request))
          const transport = Fake.make([none, none, slow])
          yield* Post.connect(transport)
          const id = yield* inDoubt("post.letters.send", key)
          yield* inDoubt("post.letters.send", "another")
          const scope = yield* Scope.make()
          yield* Layer.buildWithScope(Resolver.layer({ concurrency: 1 }), scope)

          // The first after half a minute, by chance; the second a minute after its end.
          yield* TestClock.adjust("29 seconds")
          assert.lengthOf(transport.sent, 0)
          yield* TestClock.adjust("1 second")
          assert.lengthOf(transport.sent, 2)
          yield* TestClock.adjust("1 minute")
          yield* Deferred.await(begun)
          const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
          yield* TestClock.adjust("2 seconds")
          yield* Fiber.join(closing)

          assert.deepStrictEqual((yield* stored(id))[0], "Succeeded")
          assert.lengthOf(transport.sent, 3)
          yield* TestClock.adjust("10 minutes")
          assert.lengthOf(transport.sent, 3)
        })
      )
    )
  )
})
