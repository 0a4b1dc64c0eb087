import { assert, describe, it } from "@effect/vitest"
import * as Auth from "@breakwater/core/Auth"
import { Redacted } from "effect"

const keys = { sandbox: /^sk_test_/u, production: /^sk_live_/u }

describe("Auth", () => {
  it("says where the secret goes (AUTH-1)", () => {
    assert.deepStrictEqual(Auth.bearer(), {
      place: { _tag: "Header", name: "authorization", prefix: "Bearer " },
      keys: {}
    })
    assert.deepStrictEqual(Auth.header("X-Api-Key", { keys }), {
      place: { _tag: "Header", name: "x-api-key", prefix: "" },
      keys
    })
    assert.deepStrictEqual(Auth.query("apiKey"), { place: { _tag: "Query", name: "apiKey" }, keys: {} })
    assert.deepStrictEqual(Auth.basic({ keys }), { place: { _tag: "Basic" }, keys })
    assert.deepStrictEqual(Auth.bearer({ keys }).keys, keys)
    assert.deepStrictEqual(Auth.query("apiKey", { keys }).keys, keys)
  })
})

describe("Auth.belongsElsewhere", () => {
  const elsewhere = (auth: Auth.Auth, key: string) => ({
    sandbox: Auth.belongsElsewhere(auth, "sandbox", Redacted.make(key)),
    production: Auth.belongsElsewhere(auth, "production", Redacted.make(key))
  })
  const fine = undefined

  it("refuses a key that fits only the other environment, both ways (AUTH-8)", () => {
    const auth = Auth.bearer({ keys })

    assert.deepStrictEqual(elsewhere(auth, "sk_test_1"), { sandbox: fine, production: "sandbox" })
    assert.deepStrictEqual(elsewhere(auth, "sk_live_1"), { sandbox: "production", production: fine })
  })

  it("takes a key that fits both, or neither", () => {
    const overlapping = Auth.bearer({ keys: { sandbox: /^sk_/u, production: /^sk_/u } })

    assert.deepStrictEqual(elsewhere(overlapping, "sk_1"), { sandbox: fine, production: fine })
    assert.deepStrictEqual(elsewhere(Auth.bearer({ keys }), "something else"), { sandbox: fine, production: fine })
  })

  it("judges by the one pattern that there is", () => {
    const auth = Auth.bearer({ keys: { production: /^sk_live_/u } })

    assert.deepStrictEqual(elsewhere(auth, "sk_live_1"), { sandbox: "production", production: fine })
    assert.deepStrictEqual(elsewhere(auth, "sk_test_1"), { sandbox: fine, production: fine })
  })

  it("takes any key when the provider's keys look alike", () => {
    assert.deepStrictEqual(elsewhere(Auth.bearer(), "anything"), { sandbox: fine, production: fine })
  })
})
