import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { HttpClientRequest } from "effect/http"
import * as Call from "@breakwater/core/Call"
import * as Fake from "../support/FakeTransport.ts"
import { inScenario, run } from "../support/Scenario.ts"

describe("Call.client", () => {
  it.effect("leaves a user agent that the request has, and gives one to a request without (SAFE-14)", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.empty(204)])
        const client = yield* Call.client(transport.client, { provider: "plain", userAgent: "shop/1 (a@b.example)" })
        const request = HttpClientRequest.get("https://plain.test/")
        yield* run(client.execute(HttpClientRequest.setHeader(request, "User-Agent", "mine/2")))
        yield* run(client.execute(request))

        assert.deepStrictEqual(
          transport.sent.map(({ headers }) => headers["user-agent"]),
          ["mine/2", "shop/1 (a@b.example)"]
        )
      })
    )
  )
})
