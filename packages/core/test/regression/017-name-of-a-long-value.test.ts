import { assert, describe, it } from "@effect/vitest"
import { InvalidRequest } from "@breakwater/core/FatalReason"
import * as Outgoing from "@breakwater/core/Outgoing"
import * as HttpClientRequest from "effect/http/HttpClientRequest"

describe("Outgoing.problemOf of a query parameter from outside, name and all", () => {
  it("shows its name without controls, and not all of a long one", () => {
    const name = `evil\r\nlevel=ERROR ${"x".repeat(10_000)}`
    const request = HttpClientRequest.get("https://acme.test", { urlParams: { [name]: "v".repeat(5000) } })

    assert.deepStrictEqual(
      Outgoing.problemOf(request),
      new InvalidRequest({
        field: `query evil??level?ERROR?${"x".repeat(46)}`,
        detail: "must have at most 4096 characters, has 5000"
      })
    )
  })
})
