import { assert, describe, it } from "@effect/vitest"
import type { Claim, ClaimRequest } from "@breakwater/core/IdempotencyRecord"
import type { Answer, Settlement } from "@breakwater/core/IdempotencyStore"
import { IdempotencyStore } from "@breakwater/core/IdempotencyStore"
import { Effect } from "effect"
import { shared } from "./support/Adapters.ts"

let count = 0
/** A request under a key that nothing else uses. Its lease outlives the test. */
const request = (options?: Partial<ClaimRequest>): ClaimRequest => ({
  scope: "stripe.charge@live",
  key: `order/${++count}/ü`,
  fingerprint: "one",
  leaseMillis: 60_000,
  ...options
})

const granted = (answer: Answer): Claim =>
  answer._tag === "Granted" ? answer.claim : assert.fail(`expected Granted, got ${JSON.stringify(answer)}`)

const claim = (of: ClaimRequest) => Effect.flatMap(IdempotencyStore, (store) => store.claim(of))
const claimed = (of: ClaimRequest) => Effect.map(claim(of), granted)
const settle = (claim: Claim, settlement: Settlement) =>
  Effect.flatMap(IdempotencyStore, (store) => store.settle(claim, settlement))

const payload = { version: 3, value: { id: "ch_1", text: "snow ☃ and nul \u0000" } }
const success = { _tag: "Succeeded", payload, retentionMillis: 60_000 } as const

/** A lease that has ended by the time that anybody looks. */
const dead = { leaseMillis: 0 }

for (const { layer, name, skip } of shared("idem")) {
  describe.skipIf(skip)(`IdempotencyStore in ${name}`, () => {
    it.layer(layer, { excludeTestServices: true })((it) => {
      it.effect("gives a new key to the first who asks, and locks it for the others", () =>
        Effect.gen(function* () {
          const of = request()
          const first = yield* claimed(of)
          const second = yield* claim(of)

          assert.deepStrictEqual(
            [first.scope, first.key, first.firstSentAt, first.takenOver],
            [of.scope, of.key, undefined, false]
          )
          assert(second._tag === "Locked")
          assert.isAtMost(second.retryAfterMillis, of.leaseMillis)
          assert.isAbove(second.retryAfterMillis, 0)
        })
      )

      it.effect("gives it to exactly one of many who ask at once", () =>
        Effect.gen(function* () {
          const of = request()
          const answers = yield* Effect.all(
            Array.from({ length: 20 }, () => claim(of)),
            { concurrency: "unbounded" }
          )

          assert.deepStrictEqual(answers.map(({ _tag }) => _tag).toSorted(), [
            "Granted",
            ...Array.from({ length: 19 }, () => "Locked")
          ])
        })
      )

      it.effect("takes one key in two scopes for two", () =>
        Effect.gen(function* () {
          const of = request()
          yield* claimed(of)

          assert.strictEqual((yield* claim({ ...of, scope: "stripe.refund@live" }))._tag, "Granted")
        })
      )

      it.effect("replays a success and a failure, with the version of its payload", () =>
        Effect.gen(function* () {
          for (const _tag of ["Succeeded", "Failed"] as const) {
            const of = request()
            yield* settle(yield* claimed(of), { ...success, _tag })

            assert.deepStrictEqual(yield* claim(of), { _tag: "Settled", state: _tag, payload })
          }
        })
      )

      it.effect("refuses a key that was used for another request, in flight, settled and pending", () =>
        Effect.gen(function* () {
          const of = request()
          const other = { ...of, fingerprint: "two" }
          const first = yield* claimed(of)
          const whileInFlight = yield* claim(other)
          yield* settle(first, { _tag: "Pending" })
          const whilePending = yield* claim(other)
          yield* settle(yield* claimed(of), success)

          assert.deepStrictEqual(
            [whileInFlight, whilePending, yield* claim(other)],
            [{ _tag: "Mismatch" }, { _tag: "Mismatch" }, { _tag: "Mismatch" }]
          )
        })
      )

      it.effect("forgets a settled record when its retention has ended, and gives its key to any request", () =>
        Effect.gen(function* () {
          const of = request()
          const first = yield* claimed(of)
          yield* settle(first, { ...success, retentionMillis: 0 })

          const again = yield* claimed({ ...of, fingerprint: "two" })

          assert.isAbove(again.fence, first.fence - 1)
          assert.strictEqual(again.firstSentAt, undefined)
        })
      )

      it.effect("counts the window anew from a key that was forgotten", () =>
        Effect.gen(function* () {
          const store = yield* IdempotencyStore
          const of = request({ sendsNow: true })
          yield* settle(yield* claimed(of), { ...success, retentionMillis: 0 })
          yield* Effect.sleep("3 millis")
          yield* claimed(of)
          const row = yield* store.get(of)

          assert.isDefined(row?.firstSentAt)
          assert.strictEqual(row?.firstSentAt, row?.changedAt)
        })
      )

      it.effect("does not forget what was claimed again when the retention of what was there has ended", () =>
        Effect.gen(function* () {
          const store = yield* IdempotencyStore
          const of = request()
          yield* settle(yield* claimed(of), { _tag: "Undone", retentionMillis: 400 })
          const before = yield* store.get(of)
          yield* claimed(of)
          yield* Effect.sleep("420 millis")
          yield* store.purge(1000)

          assert.deepStrictEqual([before?.state, (yield* store.get(of))?.state], ["Absent", "InFlight"])
        })
      )

      it.effect("goes on with a pending key, and says when it was sent first", () =>
        Effect.gen(function* () {
          const of = request()
          const store = yield* IdempotencyStore
          const first = yield* claimed(of)
          yield* store.sending(first, 60_000)
          const sentAt = (yield* store.get(of))?.firstSentAt
          yield* settle(first, { _tag: "Pending" })

          const second = yield* claimed(of)

          assert.isDefined(sentAt)
          assert.deepStrictEqual([second.firstSentAt, second.takenOver], [sentAt, false])
          assert.isAbove(second.fence, first.fence)
        })
      )

      it.effect("is absent again after a refusal before anything was sent, and open for another request", () =>
        Effect.gen(function* () {
          const of = request()
          const first = yield* claimed(of)
          yield* settle(first, { _tag: "Undone", retentionMillis: 60_000 })

          const second = yield* claimed({ ...of, fingerprint: "two" })

          assert.strictEqual(second.firstSentAt, undefined)
          assert.isAbove(second.fence, first.fence)
        })
      )

      it.effect("is absent again when the provider says that it did nothing, though it was sent", () =>
        Effect.gen(function* () {
          const of = request({ sendsNow: true })
          yield* settle(yield* claimed(of), { _tag: "Undone", retentionMillis: 60_000 })

          assert.strictEqual((yield* claimed({ ...of, windowMillis: 0 })).firstSentAt, undefined)
        })
      )

      it.effect("stays pending when a call that went on was refused before it sent anything", () =>
        Effect.gen(function* () {
          const of = request({ sendsNow: true })
          yield* settle(yield* claimed(of), { _tag: "Pending" })
          const second = yield* claimed({ ...of, sendsNow: false })
          yield* settle(second, { _tag: "Undone", retentionMillis: 60_000 })

          const third = yield* claimed(of)

          assert.isDefined(third.firstSentAt)
          assert.strictEqual(third.firstSentAt, second.firstSentAt)
        })
      )

      it.effect("takes over a dead lease: told that something may be sent only if it may", () =>
        Effect.gen(function* () {
          const [unsent, sent] = [request(dead), request({ ...dead, sendsNow: true })]
          const [firstUnsent, firstSent] = [yield* claimed(unsent), yield* claimed(sent)]
          const [secondUnsent, secondSent] = [yield* claimed(unsent), yield* claimed(sent)]

          assert.deepStrictEqual([secondUnsent.firstSentAt, secondUnsent.takenOver], [undefined, true])
          assert.isDefined(secondSent.firstSentAt)
          assert.isTrue(secondSent.takenOver)
          assert.isAbove(secondUnsent.fence, firstUnsent.fence)
          assert.isAbove(secondSent.fence, firstSent.fence)
        })
      )

      it.effect("refuses a late writer whose record was taken over, and changes nothing", () =>
        Effect.gen(function* () {
          const of = request(dead)
          const store = yield* IdempotencyStore
          const first = yield* claimed(of)
          const second = yield* claimed({ ...of, leaseMillis: 60_000 })
          const before = yield* store.get(of)

          const late = [
            yield* Effect.flip(store.settle(first, success)),
            yield* Effect.flip(store.settle(first, { _tag: "Undone", retentionMillis: 0 })),
            yield* Effect.flip(store.sending(first, 60_000)),
            yield* Effect.flip(store.renew(first, 60_000))
          ]

          assert.deepStrictEqual(
            late.map(({ _tag }) => _tag),
            late.map(() => "StaleClaim")
          )
          assert.deepStrictEqual(yield* store.get(of), before)
          yield* store.settle(second, success)
        })
      )

      it.effect("does not let a claim send whose lease has ended, though nobody has taken it", () =>
        Effect.gen(function* () {
          const store = yield* IdempotencyStore
          const of = request(dead)
          const late = yield* claimed(of)

          assert.strictEqual((yield* Effect.flip(store.sending(late, 60_000)))._tag, "StaleClaim")
          assert.strictEqual((yield* Effect.flip(store.renew(late, 60_000)))._tag, "StaleClaim")
          assert.strictEqual((yield* store.get(of))?.firstSentAt, undefined)
          yield* store.settle(late, success)
          assert.strictEqual((yield* claim(of))._tag, "Settled")
        })
      )

      it.effect("holds a claim for longer when it is renewed, and keeps when it was sent first", () =>
        Effect.gen(function* () {
          const store = yield* IdempotencyStore
          const of = request({ leaseMillis: 10_000 })
          const first = yield* claimed(of)
          yield* store.sending(first, 20_000)
          const sent = yield* store.get(of)
          yield* store.sending(first, 20_000)
          yield* store.renew(first, 600_000)
          const renewed = yield* store.get(of)

          assert.strictEqual(renewed?.firstSentAt, sent?.firstSentAt)
          assert.isAbove(renewed?.leaseUntil ?? 0, first.leaseUntil + 500_000)
          assert.strictEqual(renewed?.fence, first.fence)
        })
      )

      it.effect("never sends again what may be done when the provider has no keys, or has forgotten it", () =>
        Effect.gen(function* () {
          const [abandoned, pending] = [request({ ...dead, sendsNow: true }), request({ sendsNow: true })]
          yield* claimed(abandoned)
          yield* settle(yield* claimed(pending), { _tag: "Pending" })

          for (const of of [abandoned, pending]) {
            const late = yield* claim({ ...of, windowMillis: 0 })
            assert(late._tag === "Unknown")
            assert.isDefined(late.firstSentAt)
            assert.deepStrictEqual(yield* claim(of), late)
          }
        })
      )

      it.effect("leaves unknown only by a resolution, in every way there is", () =>
        Effect.gen(function* () {
          const store = yield* IdempotencyStore
          const resolutions = [
            [success, "Settled"],
            [{ ...success, _tag: "Failed" }, "Settled"],
            [{ _tag: "Undone", retentionMillis: 60_000 }, "Granted"]
          ] as const
          for (const [resolution, then] of resolutions) {
            const of = request()
            yield* settle(yield* claimed(of), { _tag: "Unknown" })
            const answer = yield* claim(of)
            assert(answer._tag === "Unknown")
            const stale = yield* Effect.flip(store.resolve({ ...of, fence: answer.fence + 1 }, resolution))
            yield* store.resolve({ ...of, fence: answer.fence }, resolution)

            assert.strictEqual(stale._tag, "StaleClaim")
            assert.strictEqual((yield* claim(of))._tag, then)
          }
        })
      )

      it.effect("resolves what is pending as well, but not what is in flight", () =>
        Effect.gen(function* () {
          const store = yield* IdempotencyStore
          const of = request()
          const first = yield* claimed(of)
          const inFlight = yield* Effect.flip(store.resolve({ ...of, fence: first.fence }, success))
          yield* settle(first, { _tag: "Pending" })
          yield* store.resolve({ ...of, fence: first.fence }, success)

          assert.strictEqual(inFlight._tag, "StaleClaim")
          assert.strictEqual((yield* claim(of))._tag, "Settled")
        })
      )

      it.effect("hears the outcome of who comes late to a record that was given up, but nothing less", () =>
        Effect.gen(function* () {
          const store = yield* IdempotencyStore
          const of = request({ ...dead, sendsNow: true })
          const late = yield* claimed(of)
          yield* claim({ ...of, windowMillis: 0 })
          const less = yield* Effect.flip(store.settle(late, { _tag: "Pending" }))
          yield* store.settle(late, success)

          assert.strictEqual(less._tag, "StaleClaim")
          assert.strictEqual((yield* claim(of))._tag, "Settled")
        })
      )

      it.effect("is told the same twice, but nothing else", () =>
        Effect.gen(function* () {
          const store = yield* IdempotencyStore
          const endings: ReadonlyArray<Settlement> = [
            success,
            { _tag: "Pending" },
            { _tag: "Unknown" },
            { _tag: "Undone", retentionMillis: 60_000 }
          ]
          for (const ending of endings) {
            const first = yield* claimed(request())
            yield* store.settle(first, ending)
            yield* store.settle(first, ending)
          }
          const settled = yield* claimed(request())
          yield* store.settle(settled, success)
          const other = { ...success, payload: { version: 3, value: "another" } }

          assert.strictEqual((yield* Effect.flip(store.settle(settled, other)))._tag, "StaleClaim")
          assert.strictEqual((yield* Effect.flip(store.settle(settled, { _tag: "Pending" })))._tag, "StaleClaim")
        })
      )

      it.effect("lists by state and scope, those that have waited longest first, and no more than asked for", () =>
        Effect.gen(function* () {
          const store = yield* IdempotencyStore
          const scope = `list ${++count}`
          const keys = ["a", "b", "c"]
          for (const key of keys) yield* settle(yield* claimed(request({ scope, key })), { _tag: "Unknown" })
          yield* settle(yield* claimed(request({ scope, key: "done" })), success)
          const list = (limit: number) => store.list({ scope, states: ["Unknown"], limit })

          assert.deepStrictEqual((yield* list(10)).map(({ key }) => key).toSorted(), keys)
          assert.strictEqual((yield* list(2)).length, 2)
          assert.deepStrictEqual(
            (yield* store.list({ scope, states: ["Succeeded"], limit: 10 })).map(({ key }) => key),
            ["done"]
          )
          assert.include(
            (yield* store.list({ states: ["Unknown"], limit: 1000 })).map((row) => row.scope),
            scope
          )
        })
      )

      it.effect("purges what is over, and nothing that is unsettled", () =>
        Effect.gen(function* () {
          const store = yield* IdempotencyStore
          const scope = `purge ${++count}`
          const end = (key: string, ending: Settlement) =>
            Effect.flatMap(claimed(request({ scope, key })), (claim) => settle(claim, ending))
          yield* end("kept", success)
          yield* end("over", { ...success, retentionMillis: 0 })
          yield* end("pending", { _tag: "Pending" })
          yield* end("unknown", { _tag: "Unknown" })
          yield* claimed(request({ scope, key: "in flight", ...dead }))

          yield* store.purge(1000)
          const keys = ["kept", "over", "pending", "unknown", "in flight"]
          const left = yield* Effect.filter(keys, (key) =>
            Effect.map(store.get({ scope, key }), (row) => row !== undefined)
          )

          assert.deepStrictEqual(left, ["kept", "pending", "unknown", "in flight"])
        })
      )

      it.effect("refuses keys and payloads that cannot be kept, naming the rule, and keeps the claim", () =>
        Effect.gen(function* () {
          const store = yield* IdempotencyStore
          const circular: Record<string, unknown> = {}
          circular["self"] = circular
          const of = request()
          const first = yield* claimed(of)
          const ends = (value: unknown, version = 1) =>
            Effect.flip(store.settle(first, { ...success, payload: { version, value } }))
          const errors = [
            yield* Effect.flip(claim(request({ key: "" }))),
            yield* Effect.flip(claim(request({ key: "x".repeat(513) }))),
            yield* Effect.flip(claim(request({ key: "a\nb" }))),
            yield* Effect.flip(claim(request({ scope: "\ud800" }))),
            yield* ends(circular),
            yield* ends(10n),
            yield* ends(undefined),
            yield* ends("x".repeat(1_048_576)),
            yield* ends("é".repeat(600_000)),
            yield* ends("fine", 1.5)
          ]

          for (const error of errors) {
            assert(error._tag === "StoreError")
            assert.deepStrictEqual([error.problem, error.isRetryable], ["invalid", false])
          }
          assert.match(
            errors[1]?.message ?? "",
            /idempotency store, claim: invalid: key must have 1 to 512 characters, has 513/u
          )
          assert.match(errors[4]?.message ?? "", /settle: invalid: the payload cannot be serialised: .*circular/u)
          assert.match(errors[8]?.message ?? "", /at most 1048576 bytes/u)
          assert.strictEqual((yield* store.get(of))?.state, "InFlight")
          yield* store.settle(first, success)
        })
      )

      it.effect("takes the longest key and payload that may be", () =>
        Effect.gen(function* () {
          const of = request({ key: "ü".repeat(512), scope: "s".repeat(512) })
          const value = "x".repeat(1_048_574)
          yield* settle(yield* claimed(of), { ...success, payload: { version: 0, value } })

          assert.deepStrictEqual(yield* claim(of), {
            _tag: "Settled",
            state: "Succeeded",
            payload: { version: 0, value }
          })
        })
      )
    })
  })
}
