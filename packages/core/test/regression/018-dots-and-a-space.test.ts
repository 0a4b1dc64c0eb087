import { assert, describe, it } from "@effect/vitest"
import { InvalidRequest } from "@breakwater/core/FatalReason"
import * as Outgoing from "@breakwater/core/Outgoing"
import * as HttpClientRequest from "effect/http/HttpClientRequest"

describe("Outgoing.problemOf of a path that ends with dots and a space", () => {
  it("refuses it: URL parsers drop the space, and then the segment before it", () => {
    const url = "https://acme.test/v1/.. "

    assert.strictEqual(new URL(url).pathname, "/")
    assert.deepStrictEqual(
      Outgoing.problemOf(HttpClientRequest.get(url)),
      new InvalidRequest({ field: "path", detail: "must not hold '.' or '..' as a segment" })
    )
  })
})
