import { assert, describe, it } from "@effect/vitest"
import * as Auth from "@breakwater/core/Auth"
import * as CredentialUse from "@breakwater/core/CredentialUse"
import { Redacted } from "effect"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as UrlParams from "effect/http/UrlParams"

const credential = (secret: string) => ({ secret: Redacted.make(secret), generation: 1 })

const request = HttpClientRequest.get("https://acme.test/x", { urlParams: { page: "2" } })

describe("CredentialUse.headers", () => {
  it("puts the secret where the provider wants it (AUTH-1)", () => {
    assert.deepStrictEqual(CredentialUse.headers(Auth.bearer(), credential("k1")), { authorization: "Bearer k1" })
    assert.deepStrictEqual(CredentialUse.headers(Auth.header("X-Api-Key"), credential("k1")), { "x-api-key": "k1" })
    assert.deepStrictEqual(CredentialUse.headers(Auth.query("apiKey"), credential("k1")), {})
  })

  it("encodes user and password as RFC 7617 says, over UTF-8", () => {
    assert.deepStrictEqual(CredentialUse.headers(Auth.basic(), credential("Aladdin:open sesame")), {
      authorization: "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
    })
    assert.deepStrictEqual(CredentialUse.headers(Auth.basic(), credential("test:123£")), {
      authorization: "Basic dGVzdDoxMjPCow=="
    })
  })
})

describe("CredentialUse.inQuery", () => {
  it("adds the secret to the query, still redacted, and only where the provider takes it there", () => {
    const secret = credential("k1")

    const carrying = CredentialUse.inQuery(request, Auth.query("apiKey"), secret)

    assert.deepStrictEqual(carrying.urlParams.params, [
      ["page", "2"],
      ["apiKey", secret.secret]
    ])
    assert.strictEqual(CredentialUse.inQuery(request, Auth.bearer(), secret), request)
    assert.strictEqual(CredentialUse.inQuery(request, Auth.basic(), secret), request)
  })

  it("does not show the secret in the request's JSON (AUTH-10)", () => {
    const carrying = CredentialUse.inQuery(request, Auth.query("apiKey"), credential("planted-secret"))

    assert.notInclude(JSON.stringify(carrying), "planted-secret")
    assert.notInclude(UrlParams.toString(carrying.urlParams.pipe(UrlParams.remove("apiKey"))), "planted-secret")
  })
})
