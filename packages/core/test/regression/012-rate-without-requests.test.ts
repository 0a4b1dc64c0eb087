import { assert, describe, it } from "@effect/vitest"
import * as Auth from "@breakwater/core/Auth"
import * as Provider from "@breakwater/core/Provider"
import { Duration } from "effect"
import { HttpApi } from "effect/http-api"

const declared = (rate: Provider.RateLimit) => () =>
  Provider.make("acme", {
    api: HttpApi.make("acme"),
    environments: { sandbox: "https://sandbox.acme.test", production: "https://acme.test" },
    auth: Auth.bearer(),
    rate
  })

describe("Provider.make with a rate that lets nothing through", () => {
  it("refuses a limit that is not above 0, in either environment: the wait for a token would be no number", () => {
    for (const limit of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) {
      const rule = `Provider.make: rate.limit of acme must be above 0, got ${limit}`
      assert.throws(declared({ limit, window: "1 second" }), RangeError, rule)
      assert.throws(declared({ limit: { sandbox: limit, production: 1 }, window: "1 second" }), RangeError, rule)
      assert.throws(declared({ limit: { sandbox: 1, production: limit }, window: "1 second" }), RangeError, rule)
    }
  })

  it("refuses a window that is no time, and a burst below 1", () => {
    for (const window of [0, -1, Number.NaN, Duration.infinity]) {
      assert.throws(
        declared({ limit: 1, window }),
        RangeError,
        "Provider.make: rate.window of acme must be longer than zero"
      )
    }
    for (const burst of [0, 0.5, -1, Number.NaN]) {
      assert.throws(
        declared({ limit: 1, window: 1, burst }),
        RangeError,
        `Provider.make: rate.burst of acme must be at least 1, got ${burst}`
      )
    }
  })

  it("takes any other", () => {
    assert.doesNotThrow(declared({ limit: 1, window: 1, burst: 1 }))
    assert.doesNotThrow(declared({ limit: 0.5, window: "1 second" }))
    assert.doesNotThrow(declared({ limit: { sandbox: 25, production: 100 }, window: "1 second", burst: 10 }))
  })
})
