import { assert, describe, it } from "@effect/vitest"
import * as Auth from "@breakwater/core/Auth"
import * as Provider from "@breakwater/core/Provider"
import { HttpApi } from "effect/http-api"

const api = HttpApi.make("acme")
const environments = { sandbox: "https://sandbox.acme.test", production: "https://acme.test" }
const options = { api, environments, auth: Auth.bearer() }

describe("Provider.make", () => {
  it("keeps what was declared, under its name", () => {
    const provider = Provider.make("acme", {
      ...options,
      probe: "things.list",
      rate: { limit: 100, window: "1 second" }
    })

    assert.deepStrictEqual(provider, {
      ...options,
      name: "acme",
      probe: "things.list",
      rate: { limit: 100, window: "1 second" }
    })
  })

  it("takes a name that may stand in metrics, and no other, on both sides of each boundary", () => {
    const named = (name: string) => () => Provider.make(name, options)

    for (const name of ["a", "acme", "acme-2", "z9-0", "a".repeat(40)]) assert.doesNotThrow(named(name))
    for (const name of ["", "Acme", "2acme", "-acme", "ac me", "ac_me", "acmé", "acme\n", "a".repeat(41)]) {
      assert.throws(
        named(name),
        RangeError,
        `Provider.make: name must be a lower-case word of at most 40 characters, got "${name}"`
      )
    }
  })

  it("takes https, and http on loopback only, for every environment (SAFE-8)", () => {
    const production = (url: string) => () =>
      Provider.make("acme", { ...options, environments: { ...environments, production: url } })
    const sandbox = (url: string) => () =>
      Provider.make("acme", { ...options, environments: { ...environments, sandbox: url } })

    for (const url of ["https://acme.test/v1", "http://127.0.0.1:8080", "http://localhost:1"])
      assert.doesNotThrow(production(url))
    for (const url of ["http://acme.test", "", "acme.test", "ftp://acme.test"]) {
      const rule = (environment: string) =>
        `Provider.make: environments.${environment} of acme must be an https URL, got "${url}"`
      assert.throws(production(url), RangeError, rule("production"))
      assert.throws(sandbox(url), RangeError, rule("sandbox"))
    }
  })
})

describe("Provider.isSecure", () => {
  it("holds for https, and for http on loopback (SAFE-8)", () => {
    const secure = [
      "https://acme.test",
      "http://localhost",
      "http://LOCALHOST:3000/x",
      "http://127.0.0.1",
      "http://127.1",
      "http://127.255.255.254",
      "http://[::1]:8080",
      "http://[0:0:0:0:0:0:0:1]"
    ]
    const insecure = [
      "http://acme.test",
      "http://localhost.acme.test",
      "http://127.0.0.1.acme.test",
      "http://128.0.0.1",
      "http://10.0.0.1",
      "http://[::2]",
      "http://0.0.0.0",
      "http://acme.test#localhost",
      "http://localhost@acme.test",
      "ws://localhost",
      "ftp://127.0.0.1",
      "file:///etc/passwd"
    ]

    for (const url of secure) assert.isTrue(Provider.isSecure(new URL(url)), url)
    for (const url of insecure) assert.isFalse(Provider.isSecure(new URL(url)), url)
  })
})

describe("Provider.isSecure (SAFE-8)", () => {
  it("does not take a URL with a user or a password in it, which no client sends as it stands", () => {
    const secure = (url: string) => Provider.isSecure(new URL(url))

    assert.isTrue(secure("https://api.acme.test"))
    assert.isFalse(secure("https://user@api.acme.test"))
    assert.isFalse(secure("https://:secret@api.acme.test"))
    assert.isFalse(secure("http://user:secret@127.0.0.1:8080"))
  })
})
