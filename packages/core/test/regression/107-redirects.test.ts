import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Auth, Call } from "@breakwater/core"
import * as Acme from "../support/Acme.ts"
import * as Fake from "../support/FakeTransport.ts"
import { inScenario, run } from "../support/Scenario.ts"

const order = { id: "o1", amount: 1 }

describe("a redirect that is followed", () => {
  it.effect("takes along a credential that travels in the query", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.empty(302, { location: "/v2/orders/o1?lang=en" }), Fake.json(order)])
        const acme = yield* Acme.connectTo(Acme.variant({ auth: Auth.query("api_key") }), transport)
        const { outcome } = yield* run(acme.orders.get({ params: { id: "o1" } }))

        assert.deepStrictEqual(outcome, { value: order })
        assert.deepStrictEqual(
          transport.sent.map(({ url }) => url),
          [
            "https://sandbox.acme.test/orders/o1?api_key=test_4242abcd",
            "https://sandbox.acme.test/v2/orders/o1?lang=en&api_key=test_4242abcd"
          ]
        )
      })
    )
  )

  it.effect("becomes a GET without a body after 303, and stays what it is after 307 (RFC 9110 §15.4.4, §15.4.8)", () =>
    inScenario(
      Effect.gen(function* () {
        const shapes = Effect.fnUntraced(function* (status: number) {
          const transport = Fake.make([Fake.empty(status, { location: "/results/1" }), Fake.json([order])])
          const acme = yield* Acme.connect(transport)
          const { outcome } = yield* run(acme.orders.search({ payload: { q: "a" } }))
          assert.deepStrictEqual(outcome, { value: [order] })
          return transport.sent.map(({ body, headers, method }) => ({ method, body, type: headers["content-type"] }))
        })
        const post = { method: "POST", body: '{"q":"a"}', type: "application/json" }

        assert.deepStrictEqual(yield* shapes(303), [post, { method: "GET", body: "", type: undefined }])
        assert.deepStrictEqual(yield* shapes(307), [post, post])
      })
    )
  )

  it.effect("stays a HEAD after 303", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.empty(303, { location: "/results/1" }), Fake.empty(200)])
        const client = yield* Call.client(transport.client, { provider: "plain" })
        yield* run(client.head("https://plain.test/"))

        assert.deepStrictEqual(
          transport.sent.map(({ method }) => method),
          ["HEAD", "HEAD"]
        )
      })
    )
  )

  it.effect("is a sign of life: the silence starts anew with each answer", () =>
    inScenario(
      Effect.gen(function* () {
        const hop = (to: string) => Fake.late(4000, Fake.empty(302, { location: to }))
        const transport = Fake.make([hop("/b"), hop("/c"), Fake.late(1900, Fake.json(order))])
        const acme = yield* Acme.connect(transport)
        const { outcome, took } = yield* run(acme.orders.get({ params: { id: "o1" } }))

        assert.deepStrictEqual({ outcome, took }, { outcome: { value: order }, took: 9900 })
      })
    )
  )
})
