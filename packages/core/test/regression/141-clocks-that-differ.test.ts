import { assert, describe, it } from "@effect/vitest"
import * as Dialect from "@breakwater/core/Dialect"
import * as RetryHint from "@breakwater/core/RetryHint"
import * as Headers from "effect/http/Headers"

const now = 1_790_000_000_000
const httpDate = (millis: number) => new Date(millis).toUTCString()

describe("a time that an answer tells", () => {
  it("counts from the answer's own Date, not from our clock: a provider that is ten minutes slow is not called too early", () => {
    const theirs = now - 600_000
    const headers = Headers.fromInput({ date: httpDate(theirs), "retry-after": httpDate(theirs + 30_000) })

    assert.strictEqual(RetryHint.fromHeaders(headers, now), 30_000)
  })

  it("is not waited for ten minutes too long when the provider's clock is fast", () => {
    const theirs = now + 600_000
    const headers = Headers.fromInput({ date: httpDate(theirs), "retry-after": httpDate(theirs + 30_000) })

    assert.strictEqual(RetryHint.fromHeaders(headers, now), 30_000)
  })

  it("counts from the answer's own Date where it is the reset of a quota", () => {
    const theirs = now + 600_000
    for (const reset of [theirs / 1000 + 30, theirs + 30_000]) {
      const headers = Headers.fromInput({
        date: httpDate(theirs),
        "x-ratelimit-remaining": "0",
        "x-ratelimit-reset": String(reset)
      })

      assert.deepStrictEqual(Dialect.quotas(Dialect.resolve(), headers, now), [
        { name: "", remaining: 0, resetMillis: 30_000, limit: undefined }
      ])
    }
  })

  it("counts from our clock where there is no Date, or none that can be read", () => {
    for (const date of [undefined, "", "yesterday"]) {
      const headers = Headers.fromInput({
        ...(date === undefined ? {} : { date }),
        "retry-after": httpDate(now + 30_000)
      })

      assert.strictEqual(RetryHint.fromHeaders(headers, now), 30_000)
    }
  })

  it("takes no part in a wait in seconds", () => {
    const headers = Headers.fromInput({ date: httpDate(now + 600_000), "retry-after": "7" })

    assert.strictEqual(RetryHint.fromHeaders(headers, now), 7000)
  })
})
