import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { HttpClientRequest } from "effect/http"
import * as Call from "@breakwater/core/Call"
import * as Fake from "../support/FakeTransport.ts"
import { inScenario, LogBook, run } from "../support/Scenario.ts"

const url = "https://api.test/things"

/** The id of a plain request, as it is sent and as it is logged. */
const idOf = (own: string | undefined, outer?: string, headers: Record<string, string> = {}) => {
  const book = new LogBook()
  return inScenario(
    Effect.gen(function* () {
      const transport = Fake.make([Fake.empty(404)])
      const client = yield* Call.client(transport.client, { provider: "plain" })
      const request = HttpClientRequest.get(url).pipe(
        HttpClientRequest.setHeaders({ ...headers, ...(own === undefined ? {} : { "X-Request-ID": own }) })
      )
      const sent = client.execute(request)
      yield* run(outer === undefined ? sent : Call.withCorrelationId(sent, outer))
      return { sent: transport.sent[0]?.headers["x-request-id"], logged: book.of("Warn")[0]?.fields["correlation_id"] }
    }),
    book
  )
}

describe("the X-Request-ID that a plain request has", () => {
  it.effect("stays, and is the correlation id", () =>
    Effect.gen(function* () {
      const id = "7b1f:job.4_2-A"

      assert.deepStrictEqual(yield* idOf(id), { sent: id, logged: id })
    })
  )

  it.effect("gives way to one that the caller set around the call", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* idOf("own", "outer"), { sent: "outer", logged: "outer" })
    })
  )

  it.effect("is one of ours when it is empty or not there", () =>
    Effect.gen(function* () {
      const [empty, none] = [yield* idOf(""), yield* idOf(undefined)]

      assert.match(String(empty.sent), /^[\da-z]+-1$/u)
      assert.strictEqual(empty.sent, none.sent)
    })
  )

  const unfit: ReadonlyArray<readonly [string, string, string]> = [
    ["an e-mail address", "for jane.doe@example.com", "for__redacted_"],
    ["a card number", "4242424242424242", "_redacted_"],
    ["a key", "sk_live_4242abcdef", "_redacted_"],
    ["the secret of another header", "trace-topsecret-1", "trace-_redacted_-1"],
    ["other characters", "a b/ü?", "a_b___"],
    ["too many", "x".repeat(500), `${"x".repeat(127)}_`]
  ]

  it.effect.each(unfit)("is made fit to be shown when it holds %s", ([, own, id]) =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* idOf(own, undefined, { authorization: "Bearer topsecret" }), {
        sent: id,
        logged: id
      })
    })
  )
})
