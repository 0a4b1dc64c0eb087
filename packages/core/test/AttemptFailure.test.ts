import { assert, describe, it } from "@effect/vitest"
import { refusal, unanswered } from "@breakwater/core/AttemptFailure"
import { InvalidRequest } from "@breakwater/core/FatalReason"
import { TransportFailed } from "@breakwater/core/RetryableReason"

const nothingSaid = {
  hintMillis: undefined,
  replayed: false,
  status: undefined,
  requestId: undefined,
  excerpt: undefined
}

describe("AttemptFailure.refusal", () => {
  it("says that nothing was sent, and speaks against nobody", () => {
    const reason = new InvalidRequest({ field: "path" })

    const failure = refusal(reason)

    assert.deepStrictEqual(failure, { ...nothingSaid, reason, sent: "no", unhealthy: false, cause: undefined })
  })
})

describe("AttemptFailure.unanswered", () => {
  it("keeps what is known of an attempt without an answer", () => {
    const reason = new TransportFailed({ code: "ECONNRESET" })
    const cause = new Error("reset")

    const failure = unanswered(reason, { sent: "unknown", unhealthy: true, cause })
    const withoutCause = unanswered(reason, { sent: "no", unhealthy: true })

    assert.deepStrictEqual(failure, { ...nothingSaid, reason, sent: "unknown", unhealthy: true, cause })
    assert.deepStrictEqual(withoutCause, { ...nothingSaid, reason, sent: "no", unhealthy: true, cause: undefined })
  })
})
