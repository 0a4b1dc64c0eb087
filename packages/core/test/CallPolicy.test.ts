import { assert, describe, it } from "@effect/vitest"
import type { CallPolicy } from "@breakwater/core/CallPolicy"
import * as CallPolicies from "@breakwater/core/CallPolicy"
import * as PolicyRules from "@breakwater/core/PolicyRules"
import { Result, Schedule, Schema } from "effect"

/** The fields of a policy that are given. */
const given = (policy: CallPolicy): unknown => JSON.parse(JSON.stringify(policy))

describe("CallPolicy.merge", () => {
  it("switches off what is asked for below, and asks for it again above", () => {
    const asked = { throttle: { cap: 0.5 }, hedge: { percentile: 0.9 }, bulkhead: { queue: 3, adaptive: {} } }
    const off = { throttle: false, hedge: false, bulkhead: { adaptive: false } } as const
    const parts = ({ bulkhead, hedge, throttle }: CallPolicy) => ({ bulkhead, hedge, throttle })

    assert.deepStrictEqual(parts(CallPolicies.merge(asked, off)), { ...off, bulkhead: { queue: 3, adaptive: false } })
    assert.deepStrictEqual(parts(CallPolicies.merge(off, {})), off)
    assert.deepStrictEqual(parts(CallPolicies.merge(off, asked)), asked)
  })

  it("takes each field from the override where it is given", () => {
    const merged = CallPolicies.merge({ deadline: "9 seconds", attempts: 2 }, { attempts: 5, maxBodyBytes: 10 })

    assert.deepStrictEqual(given(merged), { deadline: "9 seconds", attempts: 5, maxBodyBytes: 10 })
  })

  it("does not take a field that is undefined", () => {
    const merged = CallPolicies.merge(
      { attempts: 2, breaker: { window: 10 }, bulkhead: { queue: 1 }, backoff: { base: 1 } },
      { attempts: undefined, breaker: { window: undefined }, bulkhead: undefined, backoff: { base: undefined } }
    )

    assert.deepStrictEqual(given(merged), {
      attempts: 2,
      breaker: { window: 10 },
      bulkhead: { queue: 1 },
      backoff: { base: 1 }
    })
  })

  it("merges field by field inside backoff, breaker and bulkhead", () => {
    const merged = CallPolicies.merge(
      { backoff: { base: 1, cap: 9 }, breaker: { window: 10, minimumCalls: 3 }, bulkhead: { queue: 1 } },
      { backoff: { base: 2 }, breaker: { window: 20 }, bulkhead: { concurrency: 8 } }
    )

    assert.deepStrictEqual(given(merged), {
      backoff: { base: 2, cap: 9 },
      breaker: { window: 20, minimumCalls: 3 },
      bulkhead: { queue: 1, concurrency: 8 }
    })
  })

  it("takes the delays from the override, whether it says them as a schedule or as a backoff", () => {
    const schedule = Schedule.spaced("1 second")

    const asSchedule = CallPolicies.merge({ backoff: { base: 1 } }, { schedule })
    const asBackoff = CallPolicies.merge({ schedule }, { backoff: { base: 1 } })
    const neither = CallPolicies.merge({ schedule }, { attempts: 2 })

    assert.deepStrictEqual([asSchedule.schedule, asSchedule.backoff], [schedule, undefined])
    assert.deepStrictEqual([asBackoff.schedule, asBackoff.backoff], [undefined, { base: 1 }])
    assert.strictEqual(neither.schedule, schedule)
  })

  it("leaves both policies as they were", () => {
    const base = { deadline: "9 seconds", breaker: { window: 10 }, bulkhead: { queueTimeout: "9 seconds" } } as const
    const override = { deadline: "1 second", breaker: { window: 20 } } as const

    CallPolicies.merge(base, override)

    assert.deepStrictEqual(base, {
      deadline: "9 seconds",
      breaker: { window: 10 },
      bulkhead: { queueTimeout: "9 seconds" }
    })
    assert.deepStrictEqual(override, { deadline: "1 second", breaker: { window: 20 } })
  })

  it("bends longer times of the first to a shorter one of the second, and keeps those that fit", () => {
    const base: CallPolicy = {
      deadline: "1 minute",
      attemptTimeout: "20 seconds",
      silenceTimeout: "10 seconds",
      connectTimeout: "1 second",
      rateWait: "30 seconds",
      bulkhead: { queueTimeout: "15 seconds", queue: 7 }
    }
    const resolvedWith = (override: CallPolicy) => {
      const resolved = Result.getOrThrow(PolicyRules.resolve("acme", CallPolicies.merge(base, override)))
      const { attemptMillis, bulkhead, connectMillis, deadlineMillis, rateWaitMillis, silenceMillis } = resolved
      return [
        deadlineMillis,
        attemptMillis,
        silenceMillis,
        connectMillis,
        rateWaitMillis,
        bulkhead.queueMillis,
        bulkhead.queue
      ]
    }

    assert.deepStrictEqual(resolvedWith({}), [60_000, 20_000, 10_000, 1000, 30_000, 15_000, 7])
    assert.deepStrictEqual(resolvedWith({ deadline: "12 seconds" }), [12_000, 12_000, 10_000, 1000, 12_000, 12_000, 7])
    assert.deepStrictEqual(resolvedWith({ deadline: 500 }), [500, 500, 500, 500, 500, 500, 7])
    assert.deepStrictEqual(resolvedWith({ attemptTimeout: "4 seconds" }), [60_000, 4000, 4000, 1000, 30_000, 15_000, 7])
  })

  it("does not bend what the second policy wrote itself", () => {
    const merged = CallPolicies.merge({ deadline: "1 minute" }, { deadline: "5 seconds", attemptTimeout: "6 seconds" })

    const resolved = PolicyRules.resolve("acme", merged)

    assert.isTrue(Result.isFailure(resolved) && resolved.failure.field === "attemptTimeout")
  })

  const seconds = Schema.UndefinedOr(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 60 })))
  const Times = Schema.Struct({
    deadline: seconds,
    attemptTimeout: seconds,
    silenceTimeout: seconds,
    connectTimeout: seconds,
    rateWait: seconds
  })
  const inMillis = (times: typeof Times.Type): CallPolicy =>
    Object.fromEntries(
      Object.entries(times).map(([name, value]) => [name, value === undefined ? undefined : value * 1000])
    )

  it.prop(
    "never makes a policy contradict itself by shortening the deadline or the attempt",
    [
      Times,
      Schema.Literals(["deadline", "attemptTimeout"]),
      Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 60 }))
    ],
    ([times, field, shorter]) => {
      const base = inMillis(times)
      const before = PolicyRules.resolve("acme", base)
      const current = Result.isSuccess(before)
        ? { deadline: before.success.deadlineMillis, attemptTimeout: before.success.attemptMillis }[field]
        : 0
      if (shorter * 1000 > current) return

      const after = PolicyRules.resolve("acme", CallPolicies.merge(base, { [field]: shorter * 1000 }))

      assert.isTrue(Result.isSuccess(after), Result.isFailure(after) ? after.failure.message : "")
    },
    { arbitrary: { runs: 3000, seed: "bend" } }
  )

  it.prop(
    "is the override over anything, and changes nothing without one",
    [Times],
    ([times]) => {
      const policy = inMillis(times)

      assert.deepStrictEqual(given(CallPolicies.merge({}, policy)), given(policy))
      assert.deepStrictEqual(given(CallPolicies.merge(policy, {})), given(policy))
    },
    { arbitrary: { runs: 200, seed: "identity" } }
  )
})

describe("CallPolicy.explain", () => {
  const explained = (policy: CallPolicy, safety = "safe"): ReadonlyArray<string> =>
    CallPolicies.explain({
      name: "acme.things.get",
      safety,
      policy: Result.getOrThrow(PolicyRules.resolve("acme", policy))
    }).split("\n")

  it("says which policies only watch", () => {
    assert.include(
      explained({ shadow: ["breaker", "rate"] }),
      "  in shadow mode: breaker, rate; told, and nothing refused"
    )
  })

  it("prints every bound, and the effective bound of each attempt", () => {
    assert.deepStrictEqual(explained({}), [
      "acme.things.get (safe)",
      "  deadline 30s, connect 2s, silence 5s, attempt 10s",
      "  attempt 1: at once, bounded by 10s",
      "  attempt 2: after at most 200ms, bounded by 10s",
      "  attempt 3: after at most 400ms, bounded by 10s",
      "  attempt 4: after at most 800ms, bounded by 10s",
      "  hints are slept up to 1m, longer ones fail the call with retryAfter",
      "  breaker: opens on 5 failures in a row or 50 % of the last 100 calls (at least 20, 5m old at most); open 30s to 5m; 3 successes close; ramp 10s",
      "  bulkhead: 64 at once, 256 waiting, 5s at most",
      "  rate budget: waits 10s at most, 256 of a class; webhooks and imports leave 10 %",
      "  body: 8388608 bytes at most"
    ])
  })

  it("shows what the waits leave of the deadline for each attempt", () => {
    const lines = explained({
      deadline: "5 seconds",
      attemptTimeout: "4 seconds",
      attempts: 4,
      backoff: { base: "1 second", cap: "2 seconds" }
    })

    assert.deepStrictEqual(lines.slice(2, 6), [
      "  attempt 1: at once, bounded by 4s",
      "  attempt 2: after at most 1s, bounded by 4s",
      "  attempt 3: after at most 2s, bounded by 2s",
      "  attempt 4: after at most 2s, only if the waits before it fell short"
    ])
  })

  it("shows a share in whole percent", () => {
    const line = (failureRate: number) => explained({ attempts: 1, breaker: { failureRate } })[4]

    assert.include(line(1), "or 100 % of the last")
    assert.include(line(0.333), "or 33 % of the last")
  })

  it("says how the breaker counts by time, what is slow, how many probes go, and that there is no ramp", () => {
    const breaker = { timeWindow: "1 minute", slowAfter: "2 seconds", slowRate: 0.6, probes: 2, ramp: 0 } as const

    assert.strictEqual(
      explained({ attempts: 1, breaker })[4],
      "  breaker: opens on 5 failures in a row or 50 % of the calls of the last 1m (at least 20), or on 60 % that take longer than 2s; open 30s to 5m; 3 successes close, 2 probes at once; no ramp"
    )
  })

  it("says that an attempt has no time left, on both sides of the boundary", () => {
    const second = (deadline: number) => explained({ deadline, attempts: 2, backoff: { base: "1 second" } })[3]

    assert.strictEqual(second(1001), "  attempt 2: after at most 1s, bounded by 1ms")
    assert.strictEqual(second(1000), "  attempt 2: after at most 1s, only if the waits before it fell short")
  })

  it("says when an unsafe operation is sent again, and when a schedule decides", () => {
    assert.deepStrictEqual(explained({ attempts: 2 }, "unsafe").slice(2, 4), [
      "  attempt 1: at once, bounded by 10s",
      "  attempt 2: after at most 200ms, bounded by 10s, only if refused before work"
    ])
    assert.strictEqual(
      explained({ attempts: 2, schedule: Schedule.forever })[3],
      "  attempt 2: when the schedule says, bounded by 10s"
    )
  })
})
