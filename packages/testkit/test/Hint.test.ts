import { assert, describe, it } from "@effect/vitest"
import { Headers } from "effect/http"
import * as Dialect from "@breakwater/core/Dialect"
import * as RetryHint from "@breakwater/core/RetryHint"
import { Hint } from "@breakwater/testkit"

const now = Date.UTC(2026, 10, 21, 12, 0, 0)
const read = (hint: Hint.Hint) => {
  const headers = Headers.fromInput(Hint.headers(hint, now))
  return { wait: RetryHint.fromHeaders(headers, now), quota: Dialect.quotas(Dialect.resolve(), headers, now)[0] }
}

describe("Hint.headers", () => {
  it("writes each dialect as the vendors do", () => {
    assert.deepStrictEqual(Hint.headers(Hint.seconds(2), now), { "retry-after": "2" })
    assert.deepStrictEqual(Hint.headers(Hint.httpDate(90), now), { "retry-after": "Sat, 21 Nov 2026 12:01:30 GMT" })
    assert.deepStrictEqual(Hint.headers(Hint.milliseconds(250), now), { "retry-after-ms": "250" })
    assert.deepStrictEqual(Hint.headers(Hint.unreadable(), now), { "retry-after": "soon-ish" })
    assert.deepStrictEqual(Hint.headers(Hint.aDay, now), { "retry-after": "86400" })
    assert.deepStrictEqual(Hint.headers(Hint.xRateLimit({ resetSeconds: 30 }), now), {
      "x-ratelimit-remaining": "0",
      "x-ratelimit-reset": "30"
    })
    assert.deepStrictEqual(Hint.headers(Hint.xRateLimit({ remaining: 4, resetSeconds: 30, epoch: true }), now), {
      "x-ratelimit-remaining": "4",
      "x-ratelimit-reset": String(now / 1000 + 30)
    })
    assert.deepStrictEqual(Hint.headers(Hint.rateLimit({ remaining: 7, resetSeconds: 12 }), now), {
      ratelimit: '"default";r=7;t=12',
      "ratelimit-policy": '"default";q=100;w=12'
    })
  })

  it("is read by the client as it was meant (SAFE-4, RATE-2)", () => {
    const none = { wait: undefined, quota: undefined }

    assert.deepStrictEqual(read(Hint.seconds(2)), { ...none, wait: 2000 })
    assert.deepStrictEqual(read(Hint.httpDate(90)), { ...none, wait: 90_000 })
    assert.deepStrictEqual(read(Hint.milliseconds(250)), { ...none, wait: 250 })
    assert.deepStrictEqual(read(Hint.unreadable()), none)
    assert.deepStrictEqual(read(Hint.aDay), { ...none, wait: 86_400_000 })
    for (const epoch of [false, true]) {
      assert.deepStrictEqual(read(Hint.xRateLimit({ remaining: 3, resetSeconds: 30, epoch })), {
        ...none,
        quota: { name: "", remaining: 3, resetMillis: 30_000, limit: undefined }
      })
    }
    assert.deepStrictEqual(read(Hint.rateLimit({ resetSeconds: 12 })), {
      ...none,
      quota: { name: "default", remaining: 0, resetMillis: 12_000, limit: 100 }
    })
  })
})
