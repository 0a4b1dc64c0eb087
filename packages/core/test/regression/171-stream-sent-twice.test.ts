import { assert, describe, it } from "@effect/vitest"
import { Call } from "@breakwater/core"
import { Effect, Stream } from "effect"
import { HttpBody, HttpClientRequest } from "effect/http"
import * as Credentials from "../support/Credentials.ts"
import * as Fake from "../support/FakeTransport.ts"
import * as Media from "../support/Media.ts"
import { inScenario, run } from "../support/Scenario.ts"

const stored = { id: "f1" }
const params = { id: "f1" }

/** A source that gives its bytes once, and tells how often it was read. */
const once = () => {
  let reads = 0
  const payload = Stream.suspend(() => {
    reads++
    return Stream.make(Uint8Array.of(1, 2, 3))
  })
  return { payload, reads: () => reads }
}

const unauthorized = Media.taking(Fake.empty(401))
const moved = Media.taking(Fake.empty(307, { location: "/elsewhere" }))
const accepted = Media.taking(Fake.json(stored))

describe("a body that is a stream", () => {
  it.effect("is not sent again after a 401, whose credential is refreshed for the next call", () =>
    inScenario(
      Effect.gen(function* () {
        const credential = Credentials.source()
        const transport = Fake.make([unauthorized, accepted])
        const media = yield* Media.connect(transport, { credential })
        const first = once()
        const { outcome } = yield* run(media.uploads.replace({ params, payload: first.payload }))

        assert.deepStrictEqual(outcome, {
          class: "RetryableError",
          attempts: 1,
          reason: {
            _tag: "CredentialUnavailable",
            detail: "it was refused and has been refreshed, but the body cannot be sent again"
          },
          sent: "no"
        })
        assert.strictEqual(first.reads(), 1)
        assert.deepStrictEqual(credential.refreshes, [1])
        const second = yield* run(media.uploads.replace({ params, payload: once().payload }))

        assert.deepStrictEqual(second.outcome, { value: stored })
        assert.deepStrictEqual(
          transport.sent.map(({ headers }) => headers["authorization"]),
          [`Bearer ${Credentials.secret(1)}`, `Bearer ${Credentials.secret(2)}`]
        )
      })
    )
  )

  it.effect("is not sent to where a redirect points", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([moved, accepted])
        const media = yield* Media.connect(transport)
        const { payload, reads } = once()
        yield* run(media.uploads.match({ payload }))

        assert.strictEqual(reads(), 1)
        assert.strictEqual(transport.sent.length, 1)
      })
    )
  )

  it.effect("is not sent by a second attempt beside the first", () =>
    inScenario(
      Effect.gen(function* () {
        const slow = Media.taking(Fake.late(1000, Fake.json(stored)))
        const media = yield* Media.connect(Fake.make([slow]), { policy: { hedge: { delay: "100 millis" } } })
        const { payload, reads } = once()

        assert.deepStrictEqual(yield* run(media.uploads.match({ payload })), {
          outcome: { value: stored },
          took: 1000
        })
        assert.strictEqual(reads(), 1)
      })
    )
  )

  it.effect("is one also where a platform's own stream is handed over", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.empty(503), Fake.json(stored)])
        const client = yield* Call.client(transport.client, { provider: "plain" })
        const body = HttpBody.raw(new ReadableStream<Uint8Array>())
        const request = HttpClientRequest.put("https://plain.test/f").pipe(HttpClientRequest.setBody(body))
        yield* run(client.execute(request).pipe(Effect.map(({ status }) => status)))

        assert.strictEqual(transport.sent.length, 1)
      })
    )
  )

  it.effect("is none where a form carries files", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.empty(503), Fake.json(stored)])
        const client = yield* Call.client(transport.client, { provider: "plain" })
        const form = new FormData()
        form.append("file", new Blob([Uint8Array.of(1, 2, 3)]), "a.bin")
        const request = HttpClientRequest.put("https://plain.test/f").pipe(HttpClientRequest.bodyFormData(form))
        yield* run(client.execute(request).pipe(Effect.map(({ status }) => status)))

        assert.strictEqual(transport.sent.length, 2)
      })
    )
  )
})
