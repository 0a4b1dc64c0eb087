import { assert, describe, it } from "@effect/vitest"
import * as ErrorTable from "@breakwater/core/ErrorTable"
import * as Headers from "effect/http/Headers"

describe("ErrorTable.read with a code reader that throws", () => {
  it("reads an outage page that is not JSON by its status", () => {
    const table: ErrorTable.ErrorTable = {
      code: (body) => (body as { readonly error: { readonly code: string } }).error.code,
      rules: [{ code: "declined", means: "Rejected" }]
    }

    const verdict = ErrorTable.read(table, { status: 502, headers: Headers.empty, body: undefined })

    assert.deepStrictEqual(verdict, {
      means: "Unavailable",
      code: undefined,
      explicit: false,
      undecided: false,
      refusedBeforeWork: false
    })
  })
})
