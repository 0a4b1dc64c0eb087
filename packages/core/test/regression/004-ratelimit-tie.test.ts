import { assert, describe, it } from "@effect/vitest"
import * as Dialect from "@breakwater/core/Dialect"
import * as Headers from "effect/http/Headers"

describe("Dialect.quota of two policies that are both spent", () => {
  it("takes the one that lasts longer: the day's quota is not lifted when the second's is", () => {
    const headers = Headers.fromInput({ ratelimit: '"second";r=0;t=1, "day";r=0;t=3600' })

    assert.deepStrictEqual(Dialect.quota(headers, 0), { remaining: 0, resetMillis: 3_600_000 })
  })
})
