import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect } from "effect"
import { Headers } from "effect/http"
import { TestClock } from "effect/testing"
import { Authentication, Exchange, Tokens } from "@breakwater/testkit"

const hour = () => new Tokens({ lifetime: "1 hour" })

describe("Tokens", () => {
  it("takes a token until it ends", () => {
    const tokens = hour()
    const { expiresInSeconds, token } = tokens.issue(0)

    assert.deepStrictEqual([token, expiresInSeconds], ["token_0", 3600])
    assert.deepStrictEqual([tokens.accepts(token, 3_599_999), tokens.accepts(token, 3_600_000)], [true, false])
  })

  it("takes none that it did not give out, nor one that was taken back", () => {
    const tokens = hour()
    const [first, second] = [tokens.issue(0).token, tokens.issue(0).token]
    tokens.revoke(first)
    const taken = [
      tokens.accepts(undefined, 0),
      tokens.accepts("token_9", 0),
      tokens.accepts(first, 0),
      tokens.accepts(second, 0)
    ]
    tokens.revoke()

    assert.deepStrictEqual([...taken, tokens.accepts(second, 0)], [false, false, false, true, false])
  })

  it("forgets the oldest beyond its bound", () => {
    const tokens = hour()
    const given = Array.from({ length: 10_001 }, () => tokens.issue(0).token)

    assert.deepStrictEqual(
      [0, 1, 10_000].map((index) => tokens.accepts(given[index], 1)),
      [false, true, true]
    )
  })

  it("refuses a lifetime that is none", () => {
    assert.throws(() => new Tokens({ lifetime: 0 }), RangeError, "Tokens: lifetime must be longer than zero, got 0 ms")
  })

  it.effect("stands behind Authentication, which asks with the time of the request", () =>
    Effect.gen(function* () {
      const tokens = hour()
      const { token } = tokens.issue(yield* Clock.currentTimeMillis)
      const handle = Authentication.make({
        accepts: ({ headers }, now) => tokens.accepts(Authentication.keyIn(headers), now),
        refusal: () => Exchange.json(401, {})
      })(() => Effect.succeed(Exchange.json(200, {})))
      const headers = Headers.fromInput({ authorization: `Bearer ${token}` })
      const request = { method: "GET", target: "/", headers, body: new Uint8Array(0) }
      const before = yield* handle(request)
      yield* TestClock.adjust("1 hour")
      const after = yield* handle(request)

      assert.deepStrictEqual([before.status, after.status], [200, 401])
    })
  )
})
