import { assert, describe, it } from "@effect/vitest"
import type { CallPolicy, ResolvedPolicy } from "@breakwater/core/CallPolicy"
import * as CallPolicies from "@breakwater/core/CallPolicy"
import { CallPolicyError } from "@breakwater/core/CallPolicy"
import * as PolicyRules from "@breakwater/core/PolicyRules"
import { Duration, Result, Schedule, Schema } from "effect"

const resolved = (policy: CallPolicy): ResolvedPolicy => Result.getOrThrow(PolicyRules.resolve("acme", policy))

/** `field rule` of the refusal. */
const refused = (policy: CallPolicy): string => {
  const result = PolicyRules.resolve("acme", policy)
  return Result.isFailure(result) ? `${result.failure.field} ${result.failure.rule}` : "resolved"
}

const all: ResolvedPolicy = {
  deadlineMillis: 30_000,
  attemptMillis: 10_000,
  silenceMillis: 5000,
  connectMillis: 2000,
  attempts: 4,
  backoff: { baseMillis: 200, throttledBaseMillis: 1000, capMillis: 20_000 },
  schedule: undefined,
  hintCapMillis: 60_000,
  breaker: {
    consecutiveFailures: 5,
    failureRate: 0.5,
    window: 100,
    minimumCalls: 20,
    windowAgeMillis: 300_000,
    timeWindowMillis: undefined,
    slowAfterMillis: undefined,
    slowRate: 0.5,
    openMillis: 30_000,
    maxOpenMillis: 300_000,
    probes: 1,
    probeLeaseMillis: undefined,
    successesToClose: 3,
    rampMillis: 10_000
  },
  bulkhead: { concurrency: 64, queue: 256, queueMillis: 5000, adaptive: undefined },
  throttle: undefined,
  shadow: undefined,
  hedge: undefined,
  coalesce: false,
  rateWaitMillis: 10_000,
  rate: { reserve: 0.1, queue: 256, alarmAt: 0.8, marginMillis: 100, partitions: 10_000 },
  maxBodyBytes: 8_388_608,
  streaming: { deadlineMillis: 600_000, maxBytes: 1_073_741_824 }
}

describe("PolicyRules.resolve", () => {
  it("fills in the defaults that the documents state (DESIGN §8)", () => {
    assert.deepStrictEqual(resolved({}), all)
    assert.deepStrictEqual(resolved(CallPolicies.defaults), all)
  })

  it("takes every field as it is written", () => {
    const policy: CallPolicy = {
      deadline: "1 minute",
      attemptTimeout: "20 seconds",
      silenceTimeout: "4 seconds",
      connectTimeout: 1500,
      attempts: 7,
      backoff: { base: 10, throttledBase: 20, cap: 30 },
      hintCap: "2 minutes",
      breaker: {
        consecutiveFailures: 1,
        failureRate: 1,
        window: 50,
        minimumCalls: 2,
        windowAge: "1 minute",
        timeWindow: "3 minutes",
        slowAfter: "4 seconds",
        slowRate: 0.25,
        openFor: "1 second",
        maxOpenFor: "2 seconds",
        probes: 2,
        probeLease: "5 seconds",
        successesToClose: 1,
        ramp: "6 seconds"
      },
      bulkhead: { concurrency: 8, queue: 0, queueTimeout: 1000, adaptive: { minimum: 2, latency: true } },
      throttle: { ratio: 1.5, cap: 0.5, window: "1 minute", minimumCalls: 5 },
      shadow: ["rate", "breaker"],
      hedge: { percentile: 0.9, delay: 250, minimumDelay: 20 },
      coalesce: true,
      rateWait: "3 seconds",
      rate: { reserve: 0, queue: 0, alarmAt: 1, margin: 0, partitions: 1 },
      maxBodyBytes: 1,
      streaming: { deadline: "1 hour", maxBytes: 5 }
    }

    assert.deepStrictEqual(resolved(policy), {
      deadlineMillis: 60_000,
      attemptMillis: 20_000,
      silenceMillis: 4000,
      connectMillis: 1500,
      attempts: 7,
      backoff: { baseMillis: 10, throttledBaseMillis: 20, capMillis: 30 },
      schedule: undefined,
      hintCapMillis: 120_000,
      breaker: {
        consecutiveFailures: 1,
        failureRate: 1,
        window: 50,
        minimumCalls: 2,
        windowAgeMillis: 60_000,
        timeWindowMillis: 180_000,
        slowAfterMillis: 4000,
        slowRate: 0.25,
        openMillis: 1000,
        maxOpenMillis: 2000,
        probes: 2,
        probeLeaseMillis: 5000,
        successesToClose: 1,
        rampMillis: 6000
      },
      bulkhead: { concurrency: 8, queue: 0, queueMillis: 1000, adaptive: { minimum: 2, latency: true } },
      throttle: { ratio: 1.5, cap: 0.5, windowMillis: 60_000, minimumCalls: 5 },
      shadow: ["rate", "breaker"],
      hedge: { percentile: 0.9, delayMillis: 250, minimumMillis: 20 },
      coalesce: true,
      rateWaitMillis: 3000,
      rate: { reserve: 0, queue: 0, alarmAt: 1, marginMillis: 0, partitions: 1 },
      maxBodyBytes: 1,
      streaming: { deadlineMillis: 3_600_000, maxBytes: 5 }
    })
  })

  it("takes an empty list of policies in shadow mode for none, and refuses what is no policy that may be", () => {
    // As it may come from Config.
    const named = (...shadow: ReadonlyArray<string>) => ({ shadow: shadow as CallPolicy["shadow"] })

    assert.isUndefined(resolved(named()).shadow)
    assert.strictEqual(
      refused(named("breaker", "hedge")),
      'shadow must name breaker, rate, bulkhead, throttle, got "hedge"'
    )
  })

  it("lets the minimum of a time window be more than the window of calls, whose default does not bend to it", () => {
    const { minimumCalls: written } = resolved({ breaker: { timeWindow: 1000, window: 10, minimumCalls: 500 } }).breaker
    const { minimumCalls: usual } = resolved({ breaker: { timeWindow: 1000, window: 10 } }).breaker

    assert.deepStrictEqual([written, usual], [500, 20])
  })

  it("fills in what a policy takes that is only asked for, and bends the fewest attempts to the most", () => {
    const asked = resolved({ bulkhead: { concurrency: 2, adaptive: {} }, throttle: {}, hedge: {} })

    assert.deepStrictEqual(asked.bulkhead.adaptive, { minimum: 2, latency: false })
    assert.deepStrictEqual(asked.throttle, { ratio: 2, cap: 0.9, windowMillis: 120_000, minimumCalls: 20 })
    assert.deepStrictEqual(asked.hedge, { percentile: 0.95, delayMillis: undefined, minimumMillis: 10 })
    assert.strictEqual(resolved({ bulkhead: { adaptive: {} } }).bulkhead.adaptive?.minimum, 4)
  })

  it("takes a ramp of nothing", () => {
    assert.strictEqual(resolved({ breaker: { ramp: "0 seconds" } }).breaker.rampMillis, 0)
  })

  it("keeps a schedule that replaces the delays", () => {
    const schedule = Schedule.spaced("1 second")

    assert.strictEqual(resolved({ schedule }).schedule, schedule)
  })

  it("lets defaults bend to a shorter deadline", () => {
    const { attemptMillis, bulkhead, connectMillis, deadlineMillis, rateWaitMillis, silenceMillis } = resolved({
      deadline: 1500
    })

    assert.deepStrictEqual(
      {
        deadlineMillis,
        attemptMillis,
        silenceMillis,
        connectMillis,
        rateWaitMillis,
        queueMillis: bulkhead.queueMillis
      },
      {
        deadlineMillis: 1500,
        attemptMillis: 1500,
        silenceMillis: 1500,
        connectMillis: 1500,
        rateWaitMillis: 1500,
        queueMillis: 1500
      }
    )
  })

  it("lets defaults bend to a shorter attempt, a lower cap, a smaller window and a longer or shorter open time", () => {
    const attempt = resolved({ attemptTimeout: "1 second" })

    assert.deepStrictEqual([attempt.silenceMillis, attempt.connectMillis, attempt.deadlineMillis], [1000, 1000, 30_000])
    assert.deepStrictEqual(resolved({ backoff: { cap: 100 } }).backoff, {
      baseMillis: 100,
      throttledBaseMillis: 100,
      capMillis: 100
    })
    assert.strictEqual(resolved({ breaker: { window: 10 } }).breaker.minimumCalls, 10)
    assert.strictEqual(resolved({ breaker: { openFor: "10 minutes" } }).breaker.maxOpenMillis, 600_000)
    assert.strictEqual(resolved({ breaker: { maxOpenFor: "10 seconds" } }).breaker.openMillis, 10_000)
  })

  it("resolves every preset", () => {
    const { aws2026, background, charge, email, geocode, interactive } = CallPolicies

    assert.deepStrictEqual(resolved(interactive), {
      ...all,
      deadlineMillis: 10_000,
      attemptMillis: 4000,
      silenceMillis: 4000,
      attempts: 3
    })
    assert.deepStrictEqual(resolved(background), {
      ...all,
      deadlineMillis: 600_000,
      attemptMillis: 30_000,
      attempts: 8,
      rateWaitMillis: 300_000
    })
    assert.deepStrictEqual(resolved(aws2026), {
      ...all,
      attempts: 3,
      backoff: { baseMillis: 50, throttledBaseMillis: 1000, capMillis: 20_000 }
    })
    assert.deepStrictEqual(resolved(charge), all)
    assert.deepStrictEqual(resolved(geocode), { ...all, silenceMillis: 3000, deadlineMillis: 10_000 })
    assert.deepStrictEqual(resolved(email), { ...all, connectMillis: 1000, silenceMillis: 3000 })
  })
})

describe("PolicyRules.resolve of a policy that contradicts itself", () => {
  it("names the owner, the field and the rule", () => {
    const result = PolicyRules.resolve("acme.things.get", { attempts: 0 })

    const expected = new CallPolicyError({
      owner: "acme.things.get",
      field: "attempts",
      rule: "must be a whole number from 1 to 20, got 0"
    })
    assert.deepStrictEqual(result, Result.fail(expected))
    assert.strictEqual(
      expected.message,
      "policy of acme.things.get: attempts must be a whole number from 1 to 20, got 0"
    )
  })

  it("refuses a time that is longer than the one around it, on both sides of the boundary", () => {
    const pairs: ReadonlyArray<readonly [string, (millis: number) => CallPolicy]> = [
      [
        "attemptTimeout (10s 1ms) must not be longer than deadline (10s)",
        (ms) => ({ deadline: "10 seconds", attemptTimeout: ms })
      ],
      ["silenceTimeout (10s 1ms) must not be longer than attemptTimeout (10s)", (ms) => ({ silenceTimeout: ms })],
      ["connectTimeout (10s 1ms) must not be longer than attemptTimeout (10s)", (ms) => ({ connectTimeout: ms })],
      ["rateWait (10s 1ms) must not be longer than deadline (10s)", (ms) => ({ deadline: "10 seconds", rateWait: ms })],
      [
        "bulkhead.queueTimeout (10s 1ms) must not be longer than deadline (10s)",
        (ms) => ({ deadline: "10 seconds", bulkhead: { queueTimeout: ms } })
      ],
      [
        "backoff.base (10s 1ms) must not be longer than backoff.cap (10s)",
        (ms) => ({ backoff: { cap: "10 seconds", base: ms } })
      ],
      [
        "backoff.throttledBase (10s 1ms) must not be longer than backoff.cap (10s)",
        (ms) => ({ backoff: { cap: "10 seconds", throttledBase: ms } })
      ]
    ]

    for (const [rule, policy] of pairs) {
      assert.strictEqual(refused(policy(10_001)), rule)
      assert.strictEqual(refused(policy(10_000)), "resolved")
    }
  })

  it("refuses a rate that could never count, and an open time that ends before it begins", () => {
    assert.strictEqual(
      refused({ breaker: { window: 10, minimumCalls: 11 } }),
      "breaker.minimumCalls (11) must not be more than breaker.window (10): the rate could never count"
    )
    assert.strictEqual(refused({ breaker: { window: 10, minimumCalls: 10 } }), "resolved")
    assert.strictEqual(
      refused({ breaker: { openFor: 1001, maxOpenFor: 1000 } }),
      "breaker.maxOpenFor must not be shorter than breaker.openFor"
    )
    assert.strictEqual(refused({ breaker: { openFor: 1000, maxOpenFor: 1000 } }), "resolved")
  })

  it("refuses delays that are given twice", () => {
    assert.strictEqual(
      refused({ schedule: Schedule.forever, backoff: { base: 1 } }),
      "backoff must be left out when schedule is given: the schedule decides the delays"
    )
  })

  it("refuses numbers out of range, on both sides of each boundary", () => {
    const ranges: ReadonlyArray<readonly [string, (value: number) => CallPolicy, number, number]> = [
      ["attempts", (attempts) => ({ attempts }), 1, 20],
      ["maxBodyBytes", (maxBodyBytes) => ({ maxBodyBytes }), 1, 2 ** 31],
      ["streaming.maxBytes", (maxBytes) => ({ streaming: { maxBytes } }), 1, Number.MAX_SAFE_INTEGER],
      ["breaker.window", (window) => ({ breaker: { window } }), 1, 10_000],
      ["breaker.minimumCalls", (minimumCalls) => ({ breaker: { window: 10_000, minimumCalls } }), 1, 10_000],
      ["breaker.consecutiveFailures", (consecutiveFailures) => ({ breaker: { consecutiveFailures } }), 1, 10_000],
      ["breaker.successesToClose", (successesToClose) => ({ breaker: { successesToClose } }), 1, 100],
      ["bulkhead.concurrency", (concurrency) => ({ bulkhead: { concurrency } }), 1, 100_000],
      ["bulkhead.queue", (queue) => ({ bulkhead: { queue } }), 0, 1_000_000],
      ["bulkhead.adaptive.minimum", (minimum) => ({ bulkhead: { concurrency: 10, adaptive: { minimum } } }), 1, 10],
      ["throttle.minimumCalls", (minimumCalls) => ({ throttle: { minimumCalls } }), 1, 10_000]
    ]

    for (const [field, policy, min, max] of ranges) {
      assert.strictEqual(refused(policy(min)), "resolved", field)
      assert.strictEqual(refused(policy(max)), "resolved", field)
      for (const wrong of [min - 1, max + 1, min + 0.5, Number.NaN, Number.POSITIVE_INFINITY]) {
        assert.strictEqual(
          refused(policy(wrong)),
          `${field} must be a whole number from ${min} to ${max}, got ${wrong}`
        )
      }
    }
  })

  it("refuses a throttle and a hedge out of range, on both sides of each boundary", () => {
    const ranges: ReadonlyArray<readonly [string, (value: number) => CallPolicy, number, number]> = [
      ["throttle.ratio", (ratio) => ({ throttle: { ratio } }), 1.1, 100],
      ["throttle.cap", (cap) => ({ throttle: { cap } }), 0.01, 0.99],
      ["hedge.percentile", (percentile) => ({ hedge: { percentile } }), 0.01, 0.999]
    ]

    for (const [field, policy, min, max] of ranges) {
      assert.strictEqual(refused(policy(min)), "resolved", field)
      assert.strictEqual(refused(policy(max)), "resolved", field)
      for (const wrong of [min - 0.001, max + 0.001, Number.NaN])
        assert.strictEqual(refused(policy(wrong)), `${field} must be from ${min} to ${max}, got ${wrong}`)
    }
    assert.strictEqual(refused({ throttle: { window: 0 } }), "throttle.window must be longer than zero")
    assert.strictEqual(refused({ hedge: { delay: 0 } }), "hedge.delay must be longer than zero")
    assert.strictEqual(refused({ hedge: { minimumDelay: 0 } }), "hedge.minimumDelay must be longer than zero")
  })

  it("refuses a reserve and an alarm that are no share, and a margin below zero", () => {
    for (const reserve of [-0.1, 1, Number.NaN])
      assert.strictEqual(refused({ rate: { reserve } }), `rate.reserve must be at least 0 and below 1, got ${reserve}`)
    for (const alarmAt of [0, 1.1, Number.NaN])
      assert.strictEqual(refused({ rate: { alarmAt } }), `rate.alarmAt must be above 0 and at most 1, got ${alarmAt}`)
    assert.strictEqual(refused({ rate: { queue: -1 } }), "rate.queue must be a whole number from 0 to 1000000, got -1")
    assert.strictEqual(
      refused({ rate: { partitions: 0 } }),
      "rate.partitions must be a whole number from 1 to 10000000, got 0"
    )
    assert.strictEqual(refused({ rate: { margin: -1 } }), "rate.margin must not be negative")
    assert.strictEqual(refused({ rate: { margin: 0, reserve: 0.999, alarmAt: 0.001 } }), "resolved")
  })

  it("refuses what is written for a class, and names the class", () => {
    assert.strictEqual(
      refused({ classes: { import: { deadline: "1 minute", rateWait: "2 minutes" } } }),
      "classes.import.rateWait (2m) must not be longer than deadline (1m)"
    )
    assert.strictEqual(
      refused({ classes: { webhook: { rateWait: 0 } } }),
      "classes.webhook.rateWait must be longer than zero"
    )
    assert.strictEqual(refused({ classes: { import: { rateWait: "9 minutes" } } }), "resolved")
  })

  it("refuses a failure rate that is no share", () => {
    for (const failureRate of [0, -0.1, 1.001, Number.NaN]) {
      assert.strictEqual(
        refused({ breaker: { failureRate } }),
        `breaker.failureRate must be above 0 and at most 1, got ${failureRate}`
      )
    }
    for (const failureRate of [0.001, 1]) assert.strictEqual(refused({ breaker: { failureRate } }), "resolved")
  })

  it("refuses times that are none, on both sides of each boundary", () => {
    const fields: ReadonlyArray<readonly [string, (time: Duration.Input) => CallPolicy]> = [
      ["deadline", (deadline) => ({ deadline })],
      ["attemptTimeout", (attemptTimeout) => ({ attemptTimeout })],
      ["silenceTimeout", (silenceTimeout) => ({ silenceTimeout })],
      ["connectTimeout", (connectTimeout) => ({ connectTimeout })],
      ["hintCap", (hintCap) => ({ hintCap })],
      ["rateWait", (rateWait) => ({ rateWait })],
      ["backoff.base", (base) => ({ backoff: { base } })],
      ["backoff.throttledBase", (throttledBase) => ({ backoff: { throttledBase } })],
      ["backoff.cap", (cap) => ({ backoff: { cap } })],
      ["breaker.windowAge", (windowAge) => ({ breaker: { windowAge } })],
      ["breaker.openFor", (openFor) => ({ breaker: { openFor } })],
      ["breaker.maxOpenFor", (maxOpenFor) => ({ breaker: { maxOpenFor } })],
      ["bulkhead.queueTimeout", (queueTimeout) => ({ bulkhead: { queueTimeout } })]
    ]

    for (const [field, policy] of fields) {
      for (const none of [0, -1, Number.NaN])
        assert.strictEqual(refused(policy(none)), `${field} must be longer than zero`)
      assert.strictEqual(refused(policy(1)), "resolved", field)
      for (const tooLong of [2 ** 31, Duration.infinity])
        assert.strictEqual(refused(policy(tooLong)), `${field} must be at most 24 days`)
      assert.strictEqual(
        refused(policy("soon" as Duration.Input)),
        `${field} must be a duration such as "5 seconds", got "soon"`
      )
    }
    assert.strictEqual(refused({ deadline: 2 ** 31 - 1 }), "resolved")
  })

  const Input = Schema.UndefinedOr(
    Schema.Union([Schema.Number, Schema.String, Schema.Literals(["1 second", "2 minutes", "3 hours"])])
  )
  const Written = Schema.Struct({
    deadline: Input,
    attemptTimeout: Input,
    silenceTimeout: Input,
    connectTimeout: Input,
    rateWait: Input,
    attempts: Schema.UndefinedOr(Schema.Number),
    maxBodyBytes: Schema.UndefinedOr(Schema.Int)
  })

  it.prop(
    "never throws, and what it resolves keeps every rule",
    [Written],
    ([written]) => {
      const result = PolicyRules.resolve("acme", written as CallPolicy)

      if (Result.isFailure(result)) return
      const { attemptMillis, attempts, connectMillis, deadlineMillis, rateWaitMillis, silenceMillis } = result.success
      assert.isTrue(deadlineMillis > 0 && deadlineMillis < 2 ** 31)
      assert.isTrue(attemptMillis > 0 && attemptMillis <= deadlineMillis)
      assert.isTrue(silenceMillis > 0 && silenceMillis <= attemptMillis)
      assert.isTrue(connectMillis > 0 && connectMillis <= attemptMillis)
      assert.isTrue(rateWaitMillis > 0 && rateWaitMillis <= deadlineMillis)
      assert.isTrue(Number.isInteger(attempts) && attempts >= 1 && attempts <= 20)
    },
    { arbitrary: { runs: 2000, seed: "rules" } }
  )
})
