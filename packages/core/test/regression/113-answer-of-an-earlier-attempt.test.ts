import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { HttpClientRequest } from "effect/http"
import * as Call from "@breakwater/core/Call"
import { isProviderError } from "@breakwater/core/ProviderError"
import * as Fake from "../support/FakeTransport.ts"
import { errorOf, inScenario } from "../support/Scenario.ts"

describe("Call.client", () => {
  it.effect("does not hand on the answer of an earlier attempt when the last one cannot be read", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.empty(503), Fake.text("x".repeat(2000))])
        const client = yield* Call.client(transport.client, { provider: "plain", policy: { maxBodyBytes: 1000 } })
        const error = yield* errorOf(client.execute(HttpClientRequest.get("https://plain.test/")))

        assert.strictEqual(error.reason._tag, "TransportError")
        assert.isTrue(isProviderError(error.cause))
        assert.strictEqual(error.reason.message.includes("at most 1000 bytes"), true)
      })
    )
  )
})
