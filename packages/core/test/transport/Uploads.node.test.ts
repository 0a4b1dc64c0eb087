import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Stream } from "effect"
import { HttpBody, HttpClient, HttpClientRequest } from "effect/http"
import { TestClock } from "effect/testing"
import { Dispatcher } from "undici"
import * as Call from "@breakwater/core/Call"
import * as Undici from "@breakwater/core/node/Undici"
import * as Loopback from "../support/Loopback.ts"
import { inScenario, outcome } from "../support/Scenario.ts"

/** A dispatcher that does nothing: a test plays what happens on the wire. */
class Played extends Dispatcher {
  handler: Dispatcher.DispatchHandler = {}

  override dispatch(_: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    this.handler = handler
    return true
  }
}

const clientOver = (transport: Layer.Layer<HttpClient.HttpClient>, policy: Call.Options["policy"]) =>
  Effect.map(
    Layer.build(Call.layer({ provider: "plain", policy }).pipe(Layer.provide(transport))),
    Effect.provideContext<HttpClient.HttpClient>
  )

const put = (url: string, body: HttpBody.HttpBody) =>
  Effect.flatMap(HttpClient.HttpClient, (client) =>
    Effect.map(client.execute(HttpClientRequest.put(url).pipe(HttpClientRequest.setBody(body))), ({ status }) => status)
  )

describe("the Node transport", () => {
  it.effect("is not silent while it sends the pieces of a form, and is when it sends no more", () =>
    inScenario(
      Effect.gen(function* () {
        const dispatcher = new Played()
        const inside = yield* clientOver(Undici.layer({ dispatcher }), {
          attempts: 1,
          silenceTimeout: "5 seconds",
          attemptTimeout: "20 seconds"
        })
        const form = new FormData()
        form.append("file", new Blob([Uint8Array.of(1, 2, 3)]), "a.bin")
        const fiber = yield* Effect.forkChild(
          Effect.mapError(inside(put("https://plain.test/f", HttpBody.formData(form))), ({ cause }) => cause),
          { startImmediately: true }
        )
        for (const _ of [1, 2]) {
          yield* TestClock.adjust("4 seconds")
          dispatcher.handler.onBodySent?.(Buffer.of(1))
        }
        yield* TestClock.adjust("4999 millis")
        const before = fiber.pollUnsafe()
        yield* TestClock.adjust("1 second")

        assert.isUndefined(before)
        assert.deepInclude(outcome(yield* Fiber.await(fiber)) as object, {
          reason: { _tag: "Timeout", phase: "silence", after: 5000 }
        })
      })
    )
  )

  it.live(
    "announces the length of a stream that has one, and sends the others in chunks",
    () =>
      Effect.gen(function* () {
        const seen: Array<unknown> = []
        const server = yield* Loopback.http((request, response) => {
          const { "content-length": length, "transfer-encoding": encoding } = request.headers
          seen.push({ length, encoding })
          request.resume().on("end", () => response.end())
        })
        const inside = yield* clientOver(Undici.layer(), { attempts: 1 })
        const url = `http://127.0.0.1:${server.port}/`
        const bytes = Stream.make(Uint8Array.of(1, 2), Uint8Array.of(3))
        yield* inside(put(url, HttpBody.stream(bytes, "text/plain", 3)))
        yield* inside(put(url, HttpBody.stream(bytes, "text/plain")))
        const wrong = yield* Effect.flip(inside(put(url, HttpBody.stream(bytes, "text/plain", 4))))

        assert.deepStrictEqual(seen.slice(0, 2), [
          { length: "3", encoding: undefined },
          { length: undefined, encoding: "chunked" }
        ])
        assert.strictEqual(wrong._tag, "HttpClientError")
      }).pipe(Effect.scoped),
    10_000
  )
})
