import { assert, describe, it } from "@effect/vitest"
import * as BodyRead from "@breakwater/core/BodyRead"
import { Effect, Layer } from "effect"
import { FetchHttpClient, HttpClient } from "effect/http"

describe("BodyRead.read of a body that announces to be beyond the limit", () => {
  it.effect("cuts the exchange, whose connection would otherwise wait for a reader", () =>
    Effect.gen(function* () {
      let signal: AbortSignal | undefined
      let cancelled = false
      const body = new ReadableStream({
        cancel() {
          cancelled = true
        }
      })
      const fetch: typeof globalThis.fetch = (_, init) => {
        signal = init?.signal ?? undefined
        return Promise.resolve(new Response(body, { headers: { "content-length": "1000" } }))
      }
      const transport = Layer.provide(FetchHttpClient.layer, Layer.succeed(FetchHttpClient.Fetch, fetch))

      const failure = yield* HttpClient.get("https://acme.test").pipe(
        Effect.flatMap((source) => BodyRead.read(source, 100, { heard: () => undefined })),
        Effect.flip,
        Effect.provide(transport)
      )

      assert.strictEqual(failure._tag, "@breakwater/core/BodyRead/BodyTooLarge")
      assert.deepStrictEqual([cancelled, signal?.aborted], [true, true])
    })
  )
})
