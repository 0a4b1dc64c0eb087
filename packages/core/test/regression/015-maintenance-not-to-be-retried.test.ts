import { assert, describe, it } from "@effect/vitest"
import * as ErrorTable from "@breakwater/core/ErrorTable"
import * as Headers from "effect/http/Headers"

describe("ErrorTable.read of an answer that was refused before work and is not to be retried", () => {
  it("knows that nothing was done", () => {
    const table: ErrorTable.ErrorTable = {
      shouldRetryHeader: "X-Retry",
      rules: [{ status: 503, means: "Unavailable", refusedBeforeWork: true }]
    }

    const verdict = ErrorTable.read(table, {
      status: 503,
      headers: Headers.fromInput({ "x-retry": "false" }),
      body: undefined
    })

    assert.deepStrictEqual([verdict.means, verdict.undecided], ["Rejected", false])
  })
})
