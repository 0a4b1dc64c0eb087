import { assert, describe, it } from "@effect/vitest"
import { CircuitOpen } from "@breakwater/core/RetryableReason"
import { Duration } from "effect"

describe("RetryableReason.message of a jittered wait", () => {
  it("is told in whole milliseconds, rounded up", () => {
    const reason = new CircuitOpen({ retryAfter: Duration.millis(27_345.2348) })

    assert.strictEqual(reason.message, "circuit open, retry in 27s 346ms")
  })
})
