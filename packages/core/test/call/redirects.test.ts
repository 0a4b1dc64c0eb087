import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { HttpClientRequest } from "effect/http"
import { Auth, Call, Idempotency } from "@breakwater/core"
import * as Acme from "../support/Acme.ts"
import * as Fake from "../support/FakeTransport.ts"
import { inScenario, run } from "../support/Scenario.ts"

const order = { id: "o1", amount: 100 }
const to = (location: string, status = 302) => Fake.empty(status, { location })

const get = Effect.fnUntraced(function* (script: Fake.Script) {
  const transport = Fake.make(script)
  const acme = yield* Acme.connect(transport)
  const { outcome } = yield* run(acme.orders.get({ params: { id: "o1" } }))
  return { outcome, urls: transport.sent.map(({ url }) => url), sent: transport.sent }
})

const first = "https://sandbox.acme.test/orders/o1"

describe("a redirect of a read", () => {
  it.effect.each([301, 302, 303, 307, 308])("%i to the same origin is followed within the attempt", (status) =>
    inScenario(
      Effect.gen(function* () {
        const { outcome, sent, urls } = yield* get([to("/v2/orders/o1?lang=en", status), Fake.json(order)])

        assert.deepStrictEqual(outcome, { value: order })
        assert.deepStrictEqual(urls, [first, "https://sandbox.acme.test/v2/orders/o1?lang=en"])
        assert.deepStrictEqual(sent[1]?.headers, sent[0]?.headers)
        assert.strictEqual(sent[1]?.headers["authorization"], "Bearer test_4242abcd")
      })
    )
  )

  it.effect("is followed relative to where it was met", () =>
    inScenario(
      Effect.gen(function* () {
        const { outcome, urls } = yield* get([to("../archive/7"), to("8"), Fake.json(order)])

        assert.deepStrictEqual(outcome, { value: order })
        assert.deepStrictEqual(urls, [
          first,
          "https://sandbox.acme.test/archive/7",
          "https://sandbox.acme.test/archive/8"
        ])
      })
    )
  )

  it.effect("is followed five times, not six", () =>
    inScenario(
      Effect.gen(function* () {
        const hops = (n: number) => [...Array.from({ length: n }, (_, index) => to(`/hop/${index}`)), Fake.json(order)]
        const five = yield* get(hops(5))
        const six = yield* get(hops(6))

        assert.deepStrictEqual(five.outcome, { value: order })
        assert.deepStrictEqual(six.outcome, {
          class: "FatalError",
          attempts: 1,
          reason: { _tag: "Rejected", status: 302 }
        })
        assert.deepStrictEqual([five.urls.length, six.urls.length], [6, 6])
      })
    )
  )

  it.effect("takes no query along but that of the new place", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([to("/elsewhere?page=2"), Fake.json([order])])
        const acme = yield* Acme.connect(transport)
        yield* run(acme.orders.find({ query: { q: "a b" }, headers: {} }))

        assert.deepStrictEqual(
          transport.sent.map(({ url }) => url),
          ["https://sandbox.acme.test/orders?q=a+b", "https://sandbox.acme.test/elsewhere?page=2"]
        )
      })
    )
  )

  const elsewhere: ReadonlyArray<readonly [string, string]> = [
    ["another host", "https://evil.test/orders/o1"],
    ["a subdomain", "https://a.sandbox.acme.test/orders/o1"],
    ["another port", "https://sandbox.acme.test:8443/orders/o1"],
    ["http", "http://sandbox.acme.test/orders/o1"],
    ["another host without a scheme", "//evil.test/orders/o1"],
    ["another scheme", "data:application/json,{}"],
    ["a user name that looks like the host", "https://sandbox.acme.test@evil.test/"],
    ["something that is no URL", "https://[oops"]
  ]

  it.effect.each(elsewhere)("to %s is not followed: the credential stays here", ([, location]) =>
    inScenario(
      Effect.gen(function* () {
        const { outcome, urls } = yield* get([to(location)])

        assert.deepStrictEqual(outcome, {
          class: "FatalError",
          attempts: 1,
          reason: { _tag: "Rejected", status: 302 }
        })
        assert.deepStrictEqual(urls, [first])
      })
    )
  )

  it.effect("that leaves after a hop is not followed either, and no key in the query goes with it", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([to("/hop"), to("https://evil.test/")])
        const acme = yield* Acme.connectTo(Acme.variant({ auth: Auth.query("api_key") }), transport)
        const { outcome } = yield* run(acme.orders.get({ params: { id: "o1" } }))

        assert.deepStrictEqual(outcome, {
          class: "FatalError",
          attempts: 1,
          reason: { _tag: "Rejected", status: 302 }
        })
        assert.deepStrictEqual(
          transport.sent.map(({ url }) => url),
          [`${first}?api_key=test_4242abcd`, "https://sandbox.acme.test/hop?api_key=test_4242abcd"]
        )
      })
    )
  )

  it.effect("drops a user name and a fragment of the new place", () =>
    inScenario(
      Effect.gen(function* () {
        const { outcome, urls } = yield* get([to("https://me:secret@sandbox.acme.test/x#top"), Fake.json(order)])

        assert.deepStrictEqual(outcome, { value: order })
        assert.deepStrictEqual(urls, [first, "https://sandbox.acme.test/x"])
      })
    )
  )

  it.effect("without a place is the answer", () =>
    inScenario(
      Effect.gen(function* () {
        const { outcome } = yield* get([Fake.empty(302)])

        assert.deepStrictEqual(outcome, {
          class: "FatalError",
          attempts: 1,
          reason: { _tag: "Rejected", status: 302 }
        })
      })
    )
  )

  it.effect.each([300, 304, 305])("is not what %i is", (status) =>
    inScenario(
      Effect.gen(function* () {
        const { outcome, urls } = yield* get([to("/other", status)])

        assert.deepStrictEqual(outcome, { class: "FatalError", attempts: 1, reason: { _tag: "Rejected", status } })
        assert.deepStrictEqual(urls, [first])
      })
    )
  )
})

describe("a redirect of a write", () => {
  it.effect.each([301, 302, 303, 307, 308])("%i is never followed", (status) =>
    inScenario(
      Effect.gen(function* () {
        const attempt = Effect.fnUntraced(function* (call: (acme: Acme.AcmeClient) => Effect.Effect<unknown, unknown>) {
          const transport = Fake.make([to("/other", status), Fake.json(order)])
          const { outcome } = yield* run(call(yield* Acme.connect(transport)))
          return { outcome, attempts: transport.sent.length }
        })
        const rejected = {
          outcome: { class: "FatalError", attempts: 1, reason: { _tag: "Rejected", status } },
          attempts: 1
        }
        const payload = { amount: 1 }
        const params = { id: "o1" }

        assert.deepStrictEqual(
          yield* attempt((acme) => acme.orders.create({ payload }).pipe(Idempotency.withKey("k"))),
          rejected
        )
        assert.deepStrictEqual(yield* attempt((acme) => acme.orders.capture({ params, payload })), rejected)
        assert.deepStrictEqual(yield* attempt((acme) => acme.orders.replace({ params, payload })), rejected)
        assert.deepStrictEqual(yield* attempt((acme) => acme.orders.remove({ params })), rejected)
      })
    )
  )

  it.effect("is an answer like any other to a plain client", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([to("/other", 302), Fake.empty(204)])
        const client = yield* Call.client(transport.client, { provider: "plain" })
        const statusOf = (request: HttpClientRequest.HttpClientRequest) =>
          run(Effect.map(client.execute(request), ({ status }) => status))

        assert.deepStrictEqual((yield* statusOf(HttpClientRequest.post("https://plain.test/a"))).outcome, {
          value: 302
        })
        assert.strictEqual(transport.sent.length, 1)
      })
    )
  )
})
