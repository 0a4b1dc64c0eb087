import { assert, describe, it } from "@effect/vitest"
import * as Auth from "@breakwater/core/Auth"
import * as Provider from "@breakwater/core/Provider"
import * as Operation from "@breakwater/core/Operation"
import { Schema } from "effect"
import { HttpApi, HttpApiEndpoint, HttpApiGroup } from "effect/http-api"

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

describe("Provider.make of a rate", () => {
  const things = HttpApi.make("acme").add(
    HttpApiGroup.make("things").add(
      HttpApiEndpoint.get("get", "/things", { success: Schema.String }),
      HttpApiEndpoint.post("create", "/things", { success: Schema.String }).pipe(Operation.cost(3))
    )
  )
  const declared = (rate: Provider.ProviderOptions<typeof things>["rate"]) => () =>
    Provider.make("acme", { ...options, api: things, rate })
  const limits = { limit: 10, window: "1 second", burst: 3 } as const

  it("takes policies that are for its operations", () => {
    assert.doesNotThrow(
      declared([
        { name: "search", match: { operations: ["things.get"] }, limits: { limit: 1, window: "1 second" } },
        { name: "writes", match: { safety: ["unsafe"], methods: ["POST"] }, limits: [limits, limits] },
        { name: "all.of-it_2", match: { operations: ["things.*"] }, limits, perPartition: true },
        { name: "everything", limits }
      ])
    )
  })

  it("refuses a burst above the limit, of either environment: it would let more through than a window holds", () => {
    assert.throws(
      declared({ limit: 10, window: "1 second", burst: 11 }),
      RangeError,
      "Provider.make: rate.burst of acme (11) must not be above the limit (10)"
    )
    assert.throws(
      declared({ limit: { sandbox: 5, production: 10 }, window: "1 second", burst: 6 }),
      RangeError,
      "Provider.make: rate.burst of acme (6) must not be above the limit (5)"
    )
    assert.doesNotThrow(declared({ limit: 10, window: "1 second", burst: 10 }))
  })

  it("refuses an operation that could never be sent", () => {
    assert.throws(
      declared({ limit: { sandbox: 2, production: 10 }, window: "1 second" }),
      RangeError,
      "Provider.make: rate.limits of acme let 2 through, less than the cost (3) of things.create"
    )
    assert.throws(
      declared([{ name: "all", limits: [limits, { limit: 2, window: "1 hour" }] }]),
      RangeError,
      "Provider.make: rate[0].limits of acme let 2 through, less than the cost (3) of things.create"
    )
    assert.doesNotThrow(
      declared([{ name: "reads", match: { methods: ["GET"] }, limits: { limit: 1, window: "1 second" } }])
    )
  })

  it("names the policy, the field and the rule", () => {
    const wrong: ReadonlyArray<readonly [Parameters<typeof declared>[0], string]> = [
      [
        [{ name: "Search", limits }],
        'rate[0].name of acme must be a lower-case word of at most 40 characters, got "Search"'
      ],
      [
        [
          { name: "a", limits },
          { name: "a", limits }
        ],
        'rate.name of acme "a" is given twice'
      ],
      [[{ name: "a", limits: [] }], "rate[0].limits of acme must not be empty"],
      [
        [
          { name: "a", limits },
          { name: "b", limits: { limit: 0, window: "1 second" } }
        ],
        "rate[1].limits.limit of acme must be above 0, got 0"
      ],
      [
        [{ name: "a", limits: [limits, { limit: 1, window: 0 }] }],
        "rate[0].limits[1].window of acme must be longer than zero"
      ],
      [
        [{ name: "a", match: { operations: ["things.gte"] }, limits }],
        "rate[0].match.operations of acme names things.gte, which the provider does not have"
      ],
      [
        [{ name: "a", match: { operations: ["thing.*"] }, limits }],
        "rate[0].match.operations of acme names thing.*, which the provider does not have"
      ],
      [
        [{ name: "a", match: { operations: ["things.get"], methods: ["POST"] }, limits }],
        "rate[0].match of acme holds for no operation"
      ]
    ]
    for (const [rate, message] of wrong) assert.throws(declared(rate), RangeError, `Provider.make: ${message}`)
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
