import { assert, describe, it } from "@effect/vitest"
import * as Auth from "@breakwater/core/Auth"
import { Redacted } from "effect"

describe("Auth.belongsElsewhere with a global pattern", () => {
  it("refuses a live key in the sandbox every time, not every other time (AUTH-8)", () => {
    const auth = Auth.bearer({ keys: { sandbox: /^sk_test_/gu, production: /^sk_live_/gu } })
    const key = Redacted.make("sk_live_1")

    const found = [1, 2, 3].map(() => Auth.belongsElsewhere(auth, "sandbox", key))

    assert.deepStrictEqual(found, ["production", "production", "production"])
  })
})
