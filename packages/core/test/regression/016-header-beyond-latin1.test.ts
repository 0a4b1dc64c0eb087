import { assert, describe, it } from "@effect/vitest"
import { InvalidRequest } from "@breakwater/core/FatalReason"
import * as Outgoing from "@breakwater/core/Outgoing"
import * as HttpClientRequest from "effect/http/HttpClientRequest"

describe("Outgoing.problemOf of a header value that no transport can send", () => {
  it("refuses it as input, where the transport's TypeError was taken for an outage", () => {
    const request = HttpClientRequest.get("https://acme.test", { headers: { "x-note": "price: 5 \u20ac" } })

    assert.throws(() => new Headers(request.headers), TypeError)
    assert.deepStrictEqual(
      Outgoing.problemOf(request),
      new InvalidRequest({ field: "header x-note", detail: "must not hold characters beyond Latin-1" })
    )
  })
})
