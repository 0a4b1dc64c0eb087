import { assert, describe, it } from "@effect/vitest"
import * as Dialect from "@breakwater/core/Dialect"
import * as Headers from "effect/http/Headers"
import { learn, limited, wait } from "../support/Budgets.ts"

describe("Dialect.quotas of two policies that are both spent", () => {
  it("holds calls back until both have started anew: the day's quota is not lifted when the second's is", () => {
    const headers = Headers.fromInput({ ratelimit: '"second";r=0;t=1, "day";r=0;t=3600' })

    const budget = limited()
    for (const quota of Dialect.quotas(Dialect.resolve(), headers, 0)) learn(budget, quota, 0, { name: quota.name })

    assert.strictEqual(wait(budget, 0), 3_600_000)
  })
})
