import { assert, describe, it } from "@effect/vitest"
import { Headers } from "effect/http"
import * as ErrorTable from "@breakwater/core/ErrorTable"
import { errors } from "@breakwater/providers/sendgrid"

interface Case {
  readonly status: number
  readonly field: string | null
  readonly means: ErrorTable.Meaning
  readonly refusedBeforeWork?: boolean
}

const cases: ReadonlyArray<Case> = [
  { status: 400, field: "personalizations.0.to", means: "InvalidRequest" },
  { status: 401, field: null, means: "Unauthorized" },
  { status: 403, field: "from", means: "PermissionDenied" },
  { status: 404, field: null, means: "NotFound" },
  { status: 405, field: null, means: "Rejected" },
  { status: 413, field: null, means: "InvalidRequest" },
  { status: 415, field: null, means: "InvalidRequest" },
  { status: 429, field: null, means: "RateLimited", refusedBeforeWork: true },
  { status: 500, field: null, means: "Unavailable" },
  { status: 503, field: null, means: "Unavailable" }
]

describe("errors", () => {
  for (const { field, means, refusedBeforeWork = false, status } of cases) {
    it(`${status} about ${field ?? "nothing"} means ${means} (SAFE-11)`, () => {
      const verdict = ErrorTable.read(errors, {
        status,
        headers: Headers.empty,
        body: { errors: [{ message: "what is wrong", field, help: null }] }
      })

      assert.deepStrictEqual(
        [verdict.means, verdict.refusedBeforeWork, verdict.code],
        [means, refusedBeforeWork, field ?? undefined]
      )
    })
  }

  it("reads no field out of what is not an error of SendGrid's, nor where it says null as a word", () => {
    const bodies = [
      undefined,
      null,
      "text",
      {},
      { errors: null },
      { errors: "text" },
      { errors: [] },
      { errors: [null] },
      { errors: [{ field: 7 }] },
      { errors: [{ field: "null" }] }
    ]
    for (const body of bodies) assert.isUndefined(errors.code?.(body))
  })
})
