import { assert, describe, it } from "@effect/vitest"
import * as Retryable from "@breakwater/core/RetryableReason"
import { Duration, Effect, Schema } from "effect"
import { attemptReasons, fatalReasons, refusals, retryableReasons } from "./support/Samples.ts"

const seconds = (count: number) => Duration.seconds(count)

describe("RetryableReason", () => {
  it("says in a few lower-case words what happened", () => {
    assert.deepStrictEqual(
      retryableReasons.map(({ message }) => message),
      [
        "rate limited by the provider, retry in 2s",
        "answered 503, retry in 3s",
        "silence timeout after 5s",
        "transport failed with ECONNRESET",
        "locked by a request in flight, retry in 4s",
        "circuit open, retry in 30s",
        "overloaded: queue full behind 64 calls",
        "retry budget spent: transport failed with ECONNRESET",
        "deadline of 10s exceeded",
        "credential unavailable: the token endpoint is down",
        "stopped by ana, incident 42",
        "idempotency store, claim: unavailable"
      ]
    )
  })

  it("leaves out a wait that nobody asked for, and tells the budget's limit from the provider's", () => {
    assert.deepStrictEqual(
      [
        new Retryable.RateLimited({ by: "budget" }),
        new Retryable.Unavailable({ status: 502, problem: "not JSON" }),
        new Retryable.Unavailable({ status: 200, problem: "empty body" }),
        new Retryable.Unavailable({ problem: "failure", retryAfter: seconds(1) }),
        new Retryable.Locked({}),
        new Retryable.Timeout({ phase: "connect", after: seconds(2) }),
        new Retryable.Timeout({ phase: "attempt", after: Duration.millis(1500) }),
        new Retryable.Overloaded({ problem: "queued too long", concurrency: 2 })
      ].map(({ message }) => message),
      [
        "rate limited by the rate budget",
        "answered 502 with a body that is not JSON",
        "answered 200 with an empty body",
        "failed in a way that may pass, retry in 1s",
        "locked by a request in flight",
        "connect timeout after 2s",
        "attempt timeout after 1s 500ms",
        "overloaded: queued too long behind 2 calls"
      ]
    )
  })

  it.effect("comes back from JSON as it was", () =>
    Effect.gen(function* () {
      const codec = Schema.toCodecJson(Schema.Array(Retryable.RetryableReason))

      const json = JSON.stringify(yield* Schema.encodeEffect(codec)(retryableReasons))
      const back = yield* Schema.decodeUnknownEffect(codec)(JSON.parse(json))

      assert.deepStrictEqual(
        back.map(({ message }) => message),
        retryableReasons.map(({ message }) => message)
      )
      assert.deepStrictEqual(
        back.map(({ constructor }) => constructor),
        retryableReasons.map(({ constructor }) => constructor)
      )
    })
  )
})

describe("RetryableReason.retryAfter", () => {
  it("is what the provider or the policy asked for, also behind a spent budget", () => {
    const spent = new Retryable.RetriesSpent({ last: new Retryable.Locked({ retryAfter: seconds(4) }) })

    const waits = [...retryableReasons, spent].map((reason) => {
      const wait = Retryable.retryAfter(reason)
      return wait === undefined ? undefined : Duration.toMillis(wait)
    })

    const none = undefined
    assert.deepStrictEqual(waits, [2000, 3000, none, none, 4000, 30_000, none, none, none, none, none, none, 4000])
  })
})

describe("RetryableReason.isAttemptReason", () => {
  it("takes what an attempt on the wire can end with, and nothing else", () => {
    assert.isTrue(attemptReasons.every(Retryable.isAttemptReason))
    assert.isFalse([...refusals, ...fatalReasons, undefined, { _tag: "Timeout" }].some(Retryable.isAttemptReason))
  })
})
