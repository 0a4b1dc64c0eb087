import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"
import * as Call from "@breakwater/core/Call"
import * as Acme from "../support/Acme.ts"
import * as Fake from "../support/FakeTransport.ts"
import { inScenario, run } from "../support/Scenario.ts"

describe("a DELETE that is sent again after a lost answer", () => {
  const remove = Effect.fnUntraced(function* (script: Fake.Script) {
    const transport = Fake.make(script)
    const acme = yield* Acme.connect(transport)
    const { outcome } = yield* run(acme.orders.remove({ params: { id: "o1" } }))
    return { outcome, attempts: transport.sent.length }
  })

  it.effect.each([404, 410])("succeeds where it meets %i: the first one did the work", (status) =>
    inScenario(
      Effect.gen(function* () {
        const ended = yield* remove([Fake.broken("ECONNRESET"), Fake.json({ error: { code: "gone" } }, status)])

        assert.deepStrictEqual(ended, { outcome: { value: undefined }, attempts: 2 })
      })
    )
  )

  it.effect("fails with NotFound where no earlier attempt can have done it", () =>
    inScenario(
      Effect.gen(function* () {
        const first = yield* remove([Fake.empty(404)])
        const afterRefusal = yield* remove([Fake.broken("ECONNREFUSED"), Fake.empty(404)])

        const notFound = { _tag: "NotFound", status: 404 }
        assert.deepStrictEqual(first.outcome, { class: "FatalError", attempts: 1, reason: notFound })
        assert.deepStrictEqual(afterRefusal.outcome, { class: "FatalError", attempts: 2, reason: notFound })
      })
    )
  )

  it.effect("is handed on as 204 by a plain client", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.broken("ECONNRESET"), Fake.empty(404)])
        const client = yield* Call.client(transport.client, { provider: "plain" })
        const { outcome } = yield* run(
          Effect.map(client.execute(HttpClientRequest.delete("https://plain.test/things/1")), ({ status }) => status)
        )

        assert.deepStrictEqual(outcome, { value: 204 })
        assert.strictEqual(HttpClient.isHttpClient(client), true)
      })
    )
  )
})
