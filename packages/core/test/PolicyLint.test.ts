import { assert, describe, it } from "@effect/vitest"
import { CallPolicy, Operation, Provider } from "@breakwater/core"
import * as PolicyRules from "@breakwater/core/PolicyRules"
import { Result, Schedule } from "effect"
import * as Acme from "./support/Acme.ts"

type Options = Provider.LintOptions & Pick<CallPolicy.Traffic, "ratePerSecond">

/** What is found of an operation of Acme, as `rule: message`. */
const found = (policy: CallPolicy.CallPolicy, traffic: CallPolicy.Traffic = {}, path = "orders.get") =>
  CallPolicy.lint(Operation.of(Acme.provider, path, policy), traffic).map(({ message, rule }) => `${rule}: ${message}`)

const rules = (policy: CallPolicy.CallPolicy, traffic?: CallPolicy.Traffic, path?: string) =>
  found(policy, traffic, path).map((text) => text.slice(0, text.indexOf(":")))

const presets = {
  defaults: CallPolicy.defaults,
  interactive: CallPolicy.interactive,
  background: CallPolicy.background,
  aws2026: CallPolicy.aws2026,
  charge: CallPolicy.charge,
  geocode: CallPolicy.geocode,
  email: CallPolicy.email
}
const paths = ["orders.get", "orders.create", "orders.capture", "orders.replace"]

/** A rule, a policy and traffic at which it finds nothing, and the next ones at which it says what it says. */
interface Boundary {
  readonly rule: string
  readonly path?: string
  readonly well: readonly [CallPolicy.CallPolicy, CallPolicy.Traffic?]
  readonly amiss: readonly [CallPolicy.CallPolicy, CallPolicy.Traffic?]
  readonly says: string
}

const boundaries: ReadonlyArray<Boundary> = [
  {
    rule: "deadline below attempts",
    well: [{ deadline: 12_701, attemptTimeout: "4 seconds", attempts: 4 }],
    amiss: [{ deadline: 12_700, attemptTimeout: "4 seconds", attempts: 4 }],
    says: "deadline 12s 700ms is not more than 3 × 4s + 700ms of backoff on average = 12s 700ms: after attempts that are not answered, the last of 4 is never made"
  },
  {
    rule: "deadline below attempts",
    well: [{ deadline: 15_701, attempts: 4 }],
    amiss: [{ deadline: 15_700, attempts: 4 }],
    says: "deadline 15s 700ms is not more than 3 × 5s of silence + 700ms of backoff on average = 15s 700ms: after attempts that are not answered, the last of 4 is never made"
  },
  {
    rule: "breaker never opens",
    well: [{ breaker: { consecutiveFailures: 15 } }, { callsPerSecond: 0.05 }],
    amiss: [{ breaker: { consecutiveFailures: 16 } }, { callsPerSecond: 0.05 }],
    says: "0.05 calls a second × 5m of breaker.windowAge = 15 calls, less than breaker.minimumCalls (20): no share of failures or slow calls ever counts, and 16 failures in a row take 5m 20s of nothing else"
  },
  {
    rule: "failure rate never counts",
    well: [{ breaker: { timeWindow: "10 seconds" } }, { callsPerSecond: 2 }],
    amiss: [{ breaker: { timeWindow: "10 seconds" } }, { callsPerSecond: 1.9 }],
    says: "1.9 calls a second × 10s of breaker.timeWindow = 19 calls, less than breaker.minimumCalls (20): no share of failures or slow calls ever counts, and 5 failures in a row take 2s 632ms of nothing else"
  },
  {
    rule: "slow never counts",
    well: [{ breaker: { slowAfter: 9999 } }],
    amiss: [{ breaker: { slowAfter: 10_000 } }],
    says: "breaker.slowAfter (10s) is not less than the attempt timeout (10s): no attempt is ever slow"
  },
  {
    rule: "hint cap above deadline",
    well: [{ hintCap: "45 seconds", deadline: "45 seconds" }],
    amiss: [{ hintCap: "45 seconds", deadline: "44 seconds" }],
    says: "hintCap 45s is above the deadline 44s: a hint between the two fails the call all the same, and the 45s only hold back the rest of the connection"
  },
  {
    rule: "nested retries",
    well: [{ attempts: 3 }, { nested: { retries: 0 } }],
    amiss: [{ attempts: 3 }, { nested: { retries: 2 } }],
    says: "3 attempts here × 3 there = 9 attempts for one call while the provider is down: leave the retries to one of the two"
  },
  {
    rule: "hedge on a write",
    path: "orders.replace",
    well: [{}],
    amiss: [{ hedge: {} }],
    says: "hedge has no effect on an operation that is idempotent: a second attempt beside the first would be a second write, and is never sent"
  },
  {
    rule: "hedge after the attempt",
    well: [{ hedge: { delay: 4999 } }],
    amiss: [{ hedge: { delay: 5000 } }],
    says: "hedge waits 5s, and a first attempt that is silent ends after 5s: the second one is never beside it"
  },
  {
    rule: "bulkhead below traffic",
    well: [{ bulkhead: { concurrency: 64 } }, { callsPerSecond: 32, latency: "2 seconds" }],
    amiss: [{ bulkhead: { concurrency: 64 } }, { callsPerSecond: 33, latency: "2 seconds" }],
    says: "64 at once at 2s each let 32 through in a second, less than 33: the queue fills, and what is beyond it is refused"
  },
  {
    rule: "rate below traffic",
    well: [{}, { callsPerSecond: 24, ratePerSecond: 25 }],
    amiss: [{}, { callsPerSecond: 24.5, ratePerSecond: 25 }],
    says: "24.5 calls a second and 1 retry a second, which is the least that the retry budget gives, = 25.5, more than the 25 that the provider lets through: retries wait behind calls"
  },
  {
    rule: "rate below traffic",
    well: [{ attempts: 1 }, { callsPerSecond: 25, ratePerSecond: 25 }],
    amiss: [{ attempts: 1 }, { callsPerSecond: 26, ratePerSecond: 25 }],
    says: "26 calls a second are more than the 25 that the provider lets through: the others wait, and are refused"
  },
  {
    rule: "queue above caller",
    well: [{ deadline: "5 seconds", attempts: 1, bulkhead: { queueTimeout: 4999 } }, { callerWaits: "5 seconds" }],
    amiss: [{ deadline: "5 seconds", attempts: 1, bulkhead: { queueTimeout: 5000 } }, { callerWaits: "5 seconds" }],
    says: "bulkhead.queueTimeout 5s is not less than the 5s that the caller waits: whoever gets a slot then has nobody to answer to"
  },
  {
    rule: "deadline above caller",
    well: [{ deadline: "20 seconds" }, { callerWaits: "20 seconds" }],
    amiss: [{ deadline: "21 seconds" }, { callerWaits: "20 seconds" }],
    says: "deadline 21s is more than the 20s that the caller waits: the last 1s are work for nobody"
  },
  {
    rule: "retries outlive the key",
    path: "orders.create",
    well: [{ deadline: "23 hours" }],
    amiss: [{ deadline: "24 hours" }],
    says: "deadline 1d is more than the 1d that the provider remembers a key, less an hour = 23h: later attempts are not made, and the outcome is unknown"
  },
  {
    rule: "recovery above objective",
    well: [{ breaker: { openFor: "30 seconds", ramp: "10 seconds" } }, { recoversWithin: "46 seconds" }],
    amiss: [{ breaker: { openFor: "30 seconds", ramp: "10 seconds" } }, { recoversWithin: "45 seconds" }],
    says: "breaker.openFor 30s + 20 % + ramp 10s = 46s after the end of a short outage, more than the 45s in which it is to be over"
  },
  {
    rule: "throttle never counts",
    well: [{ throttle: { window: "10 seconds" } }, { callsPerSecond: 2 }],
    amiss: [{ throttle: { window: "10 seconds" } }, { callsPerSecond: 1.9 }],
    says: "1.9 calls a second × 10s of throttle.window = 19 calls, less than throttle.minimumCalls (20): it never refuses"
  }
]

describe("CallPolicy.lint", () => {
  it.each(boundaries.map((each, index) => [`${each.rule} (${index})`, each] as const))(
    "finds %s, with the arithmetic, and nothing of it one step before",
    (_, { amiss, path, rule, says, well }) => {
      assert.deepStrictEqual(found(amiss[0], amiss[1], path), [`${rule}: ${says}`])
      assert.deepStrictEqual(
        rules(well[0], well[1], path).filter((each) => each === rule),
        []
      )
    }
  )

  it.each(Object.entries(presets))("finds nothing in %s, for any operation, at usual traffic", (_, policy) => {
    const usual = { callsPerSecond: 20, latency: "300 millis", ratePerSecond: 25, recoversWithin: "1 minute" } as const

    for (const path of paths) {
      assert.deepStrictEqual(found(policy, {}, path), [])
      assert.deepStrictEqual(found(policy, usual, path), [])
    }
  })

  it("gives findings as data: the rule, how grave it is, whose policy, and its fields", () => {
    const [finding] = CallPolicy.lint(Operation.of(Acme.provider, "orders.create", { hedge: {} }))

    assert.deepInclude(finding, {
      rule: "hedge on a write",
      severity: "warning",
      owner: "acme.orders.create",
      fields: ["hedge"]
    })
  })

  it("takes a resolved policy by itself, as that of a read", () => {
    const policy = Result.getOrThrow(PolicyRules.resolve("acme", { hedge: { delay: "9 seconds" } }))

    assert.deepStrictEqual(
      CallPolicy.lint(policy).map(({ owner, rule }) => [owner, rule]),
      [["policy", "hedge after the attempt"]]
    )
  })

  it("asks nothing of retries where there are none, and of delays that a schedule decides", () => {
    const tight: CallPolicy.CallPolicy = { deadline: "10 seconds", attemptTimeout: "4 seconds" }

    assert.deepStrictEqual(rules(tight), ["deadline below attempts"])
    assert.deepStrictEqual(rules({ ...tight, attempts: 1 }, { nested: { retries: 2 } }), [])
    assert.deepStrictEqual(rules(tight, { nested: { retries: 2 } }, "orders.capture"), [])
    assert.deepStrictEqual(rules({ ...tight, schedule: Schedule.spaced("1 second") }), [])
  })

  it("refuses traffic that is none", () => {
    const policy = Operation.of(Acme.provider, "orders.get")

    assert.throws(
      () => CallPolicy.lint(policy, { callsPerSecond: 0 }),
      RangeError,
      "callsPerSecond must be above 0, got 0"
    )
    assert.throws(
      () => CallPolicy.lint(policy, { ratePerSecond: -1 }),
      RangeError,
      "ratePerSecond must be above 0, got -1"
    )
    assert.throws(() => CallPolicy.lint(policy, { nested: { retries: 0.5 } }), RangeError, "nested.retries must be")
  })
})

describe("Provider.lint", () => {
  const shown = (options: Options, provider = Acme.provider) =>
    Provider.lint(provider, options).map(({ owner, rule }) => [owner, rule])

  it("finds nothing in a provider as it is declared", () => {
    assert.deepStrictEqual(shown({ callsPerSecond: 20, latency: "300 millis" }), [])
  })

  it("says once what all operations have, and of each what it has alone", () => {
    assert.deepStrictEqual(shown({ callsPerSecond: 100, latency: "1 second" }), [["acme", "bulkhead below traffic"]])
    assert.deepStrictEqual(shown({ policy: { deadline: "24 hours" } }), [
      ["acme.orders.create", "retries outlive the key"]
    ])
  })

  it("takes the hedge of a whole provider for that of its reads", () => {
    assert.deepStrictEqual(shown({ policy: { hedge: {} } }), [])
  })

  it("knows the declared rate of each environment, as far as it holds for everything", () => {
    const rate = { limit: { sandbox: 10, production: 100 }, window: "1 second" } as const
    const declared = Acme.variant({ rate })
    const partly = Acme.variant({
      rate: [
        { name: "writes", match: { safety: ["keyed"] }, limits: rate },
        { name: "channel", perPartition: true, limits: rate }
      ]
    })

    assert.deepStrictEqual(shown({ callsPerSecond: 20 }, declared), [])
    assert.deepStrictEqual(shown({ callsPerSecond: 20, environment: "sandbox" }, declared), [
      ["acme", "rate below traffic"]
    ])
    assert.deepStrictEqual(shown({ callsPerSecond: 20, environment: "sandbox" }, partly), [])
  })

  it("throws for a policy that contradicts itself", () => {
    assert.throws(
      () => Provider.lint(Acme.provider, { policy: { attempts: 0 } }),
      RangeError,
      "attempts must be a whole number"
    )
  })
})
