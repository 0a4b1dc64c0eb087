import { assert, describe, it } from "@effect/vitest"
import type { AttemptFailure } from "@breakwater/core/AttemptFailure"
import { refusal, unanswered } from "@breakwater/core/AttemptFailure"
import * as Fatal from "@breakwater/core/FatalReason"
import * as Retry from "@breakwater/core/Retry"
import * as Retryable from "@breakwater/core/RetryableReason"
import type { Safety } from "@breakwater/core/Safety"
import { Duration, Effect, Random, Schedule, Schema } from "effect"

const reset = unanswered(new Retryable.TransportFailed({ code: "ECONNRESET" }), { sent: "unknown", unhealthy: true })

const throttled: AttemptFailure = {
  ...refusal(new Retryable.RateLimited({ status: 429, by: "provider", retryAfter: undefined })),
  sent: "refused",
  status: 429
}

const backoff: Retry.Backoff = { baseMillis: 200, throttledBaseMillis: 1000, capMillis: 20_000 }

/** Milliseconds before each retry of one call that failed so. */
const delays = (backoff: Retry.Backoff, failures: ReadonlyArray<AttemptFailure>) =>
  Effect.gen(function* () {
    const step = yield* Schedule.toStep(Retry.fullJitter(backoff))
    const waits: Array<number> = []
    for (const failure of failures) {
      const [, wait] = yield* step(0, failure)
      waits.push(Duration.toMillis(wait))
    }
    return waits
  })

/** A `Random` that always draws the same share. */
const drawing = (share: number) =>
  Effect.provideService(Random.Random, { nextIntUnsafe: () => 0, nextDoubleUnsafe: () => share })

const times = <A>(count: number, value: A): ReadonlyArray<A> => Array.from({ length: count }, () => value)

const quantile = (sorted: ReadonlyArray<number>, share: number): number =>
  sorted[Math.floor(share * (sorted.length - 1))] ?? Number.NaN

describe("Retry.fullJitter", () => {
  it.effect("has a ceiling that begins at the base and doubles up to the cap (SAFE-2)", () =>
    Effect.gen(function* () {
      const ceilings = yield* delays(backoff, times(10, reset)).pipe(drawing(1))

      assert.deepStrictEqual(ceilings, [200, 400, 800, 1600, 3200, 6400, 12_800, 20_000, 20_000, 20_000])
    })
  )

  it.effect("may draw no delay at all", () =>
    Effect.gen(function* () {
      const floors = yield* delays(backoff, times(3, reset)).pipe(drawing(0))

      assert.deepStrictEqual(floors, [0, 0, 0])
    })
  )

  it.effect("takes the ceiling of throttled attempts for those, in the same count", () =>
    Effect.gen(function* () {
      const ceilings = yield* delays(backoff, [reset, throttled, reset, throttled, throttled, throttled]).pipe(
        drawing(1)
      )

      assert.deepStrictEqual(ceilings, [200, 2000, 800, 8000, 16_000, 20_000])
    })
  )

  it.effect("stays at the cap however many attempts there are", () =>
    Effect.gen(function* () {
      const ceilings = yield* delays(backoff, times(1200, reset)).pipe(drawing(1))

      assert.deepStrictEqual(ceilings.slice(8), times(1192, 20_000))
    })
  )

  it.effect("begins anew with each call", () =>
    Effect.gen(function* () {
      const schedule = Retry.fullJitter(backoff)
      const first = yield* Schedule.toStep(schedule)
      yield* first(0, reset)
      yield* first(0, reset)
      const second = yield* Schedule.toStep(schedule)

      const [, wait] = yield* second(0, reset)

      assert.strictEqual(Duration.toMillis(wait), 200)
    }).pipe(drawing(1))
  )

  it.effect("is uniform between nothing and the ceiling: the published vectors of full jitter (resilience §5.2)", () =>
    Effect.gen(function* () {
      const vectors = { baseMillis: 1000, throttledBaseMillis: 1000, capMillis: 20_000 }
      const calls = yield* Effect.all(times(20_000, delays(vectors, times(5, reset))))

      const seconds = [0, 1, 2, 3, 4].map((retry) =>
        calls.map((call) => (call[retry] ?? 0) / 1000).toSorted((a, b) => a - b)
      )
      const medians = seconds.map((each) => quantile(each, 0.5))
      const published = [0.51, 1, 2.02, 3.99, 8.06]
      medians.forEach((median, retry) => assert.closeTo(median / (published[retry] ?? 0), 1, 0.04))
      seconds.forEach((each, retry) => {
        assert.closeTo(quantile(each, 0.05) / 2 ** retry, 0.05, 0.01)
        assert.closeTo(quantile(each, 0.95) / 2 ** retry, 0.95, 0.01)
        assert.isAtLeast(each[0] ?? -1, 0)
        assert.isAtMost(each.at(-1) ?? Number.NaN, 2 ** retry)
      })
    }).pipe(Random.withSeed("full jitter"))
  )

  it.effect("does not let two callers wait in step (SAFE-5)", () =>
    Effect.gen(function* () {
      const callers = yield* Effect.all(times(100, delays(backoff, times(3, throttled))))

      assert.strictEqual(new Set(callers.map((waits) => waits.join())).size, 100)
    }).pipe(Random.withSeed("herd"))
  )
})

const situation: Retry.Situation = {
  safety: "safe",
  attempts: 1,
  maxAttempts: 4,
  maybeDone: false,
  keyUntil: undefined,
  replayable: true
}

const safeties: ReadonlyArray<Safety> = ["safe", "idempotent", "keyed", "unsafe"]

/** What follows a failure, by safety. */
const bySafety = (overrides: Partial<Retry.Situation>, failure: AttemptFailure, now = 0) =>
  Object.fromEntries(
    safeties.map((safety) => [safety, Retry.next({ ...situation, ...overrides, safety }, failure, now)])
  )

const fatal = (reason: Fatal.FatalReason): AttemptFailure => ({ ...refusal(reason), sent: "refused" })

describe("Retry.next", () => {
  it("tries again while there are attempts left, and not one more (SAFE-2)", () => {
    const at = (attempts: number) => Retry.next({ ...situation, attempts }, reset, 0)

    assert.deepStrictEqual([1, 2, 3, 4, 5].map(at), ["again", "again", "again", "give up", "give up"])
  })

  it("tries again whatever was refused before work, unsafe writes included", () => {
    const after = bySafety({}, throttled)

    assert.deepStrictEqual(after, { safe: "again", idempotent: "again", keyed: "again", unsafe: "again" })
  })

  it("never sends an unsafe write again that may have been carried out (SAFE-3)", () => {
    const after = bySafety({ maybeDone: true }, reset)

    assert.deepStrictEqual(after, { safe: "again", idempotent: "again", keyed: "again", unsafe: "unknown" })
  })

  it("still does not know an unsafe write's outcome when a later attempt was refused before work", () => {
    assert.strictEqual(
      Retry.next({ ...situation, safety: "unsafe", attempts: 2, maybeDone: true }, throttled, 0),
      "unknown"
    )
  })

  it("gives up when the body cannot be sent again", () => {
    const after = bySafety({ maybeDone: true, replayable: false }, reset)

    assert.deepStrictEqual(after, { safe: "give up", idempotent: "give up", keyed: "give up", unsafe: "unknown" })
  })

  it("does not send a key again that has come to the end of its window, on both sides of the boundary", () => {
    const keyed = (now: number, maybeDone = true) =>
      Retry.next({ ...situation, safety: "keyed", maybeDone, keyUntil: 1000 }, reset, now)

    assert.deepStrictEqual([keyed(999), keyed(1000)], ["again", "unknown"])
    assert.strictEqual(keyed(1000, false), "again")
  })

  it("does not send a key again whose stored failure the provider replays", () => {
    const replayed = { ...reset, replayed: true }

    const after = bySafety({ maybeDone: true }, replayed)

    assert.deepStrictEqual(after, { safe: "again", idempotent: "again", keyed: "unknown", unsafe: "unknown" })
    assert.strictEqual(Retry.next({ ...situation, safety: "keyed" }, replayed, 0), "again")
  })

  it("is final after a fatal reason when nothing can have been done", () => {
    const reasons = [
      new Fatal.InvalidRequest({}),
      new Fatal.Unauthorized({}),
      new Fatal.CredentialRejected({}),
      new Fatal.PermissionDenied({}),
      new Fatal.NotFound({}),
      new Fatal.Conflict({}),
      new Fatal.QuotaExhausted({}),
      new Fatal.IdempotencyMismatch({}),
      new Fatal.ResponseInvalid({ path: "", expected: "a string" }),
      new Fatal.Rejected({})
    ]

    for (const reason of reasons) {
      assert.deepStrictEqual(bySafety({}, fatal(reason)), {
        safe: "final",
        idempotent: "final",
        keyed: "final",
        unsafe: "final"
      })
    }
  })

  it("does not know the outcome of a write when a refusal says nothing about an earlier attempt", () => {
    const after = (reason: Fatal.FatalReason) => bySafety({ maybeDone: true, attempts: 2 }, fatal(reason))
    const unknown = { safe: "final", idempotent: "final", keyed: "unknown", unsafe: "unknown" } as const

    assert.deepStrictEqual(after(new Fatal.Unauthorized({ status: 401 })), unknown)
    assert.deepStrictEqual(after(new Fatal.CredentialRejected({ status: 401 })), unknown)
    assert.deepStrictEqual(after(new Fatal.PermissionDenied({ status: 403 })), unknown)
    assert.deepStrictEqual(after(new Fatal.QuotaExhausted({ status: 402 })), unknown)
    assert.deepStrictEqual(after(new Fatal.IdempotencyMismatch({ status: 400 })), unknown)
    assert.deepStrictEqual(after(new Fatal.Rejected({ status: 418 })), unknown)
    assert.deepStrictEqual(after(new Fatal.ResponseInvalid({ status: 200, path: "id", expected: "a string" })), unknown)
  })

  it("is final when the provider has looked at the request itself, whatever came before", () => {
    const after = (reason: Fatal.FatalReason) => bySafety({ maybeDone: true, attempts: 2 }, fatal(reason))["keyed"]

    assert.strictEqual(after(new Fatal.InvalidRequest({ status: 422 })), "final")
  })

  const whole = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 6 }))

  it.prop(
    "never sends again what must not be sent again",
    [
      Schema.Struct({
        safety: Schema.Literals(safeties),
        attempts: whole,
        maxAttempts: whole,
        maybeDone: Schema.Boolean,
        replayable: Schema.Boolean,
        key: Schema.UndefinedOr(whole),
        replayed: Schema.Boolean,
        now: whole,
        throttled: Schema.Boolean
      })
    ],
    ([{ key, now, replayed, throttled: isThrottled, ...rest }]) => {
      const failure = { ...(isThrottled ? throttled : reset), replayed }

      const next = Retry.next({ ...rest, keyUntil: key }, failure, now)

      if (next !== "again") return
      assert.isBelow(rest.attempts, rest.maxAttempts)
      assert.isTrue(rest.replayable)
      if (rest.safety === "unsafe") assert.isFalse(rest.maybeDone)
      if (rest.safety === "keyed" && rest.maybeDone) assert.isTrue(!replayed && (key === undefined || now < key))
    },
    { arbitrary: { runs: 1000, seed: "next" } }
  )
})
