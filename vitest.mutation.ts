/** The tests of the policies' state machines: pure, so that each mutant is judged in milliseconds. */
import { defineConfig } from "vitest/config"

export default defineConfig({
  test: {
    root: "packages/core",
    include: [
      "test/{AttemptTimer,Bulkhead,Circuit,ConcurrencyLimit,CredentialUse,Deadline,HedgeDelay,Idempotency,RateBudget,Retry,RetryBudget,Throttle}.test.ts"
    ]
  }
})
