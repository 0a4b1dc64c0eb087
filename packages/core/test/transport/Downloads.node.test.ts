import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, Stream } from "effect"
import { FetchHttpClient, HttpClient } from "effect/http"
import type * as Http from "node:http"
import * as Call from "@breakwater/core/Call"
import * as Undici from "@breakwater/core/node/Undici"
import * as Loopback from "../support/Loopback.ts"

const transports = { fetch: FetchHttpClient.layer, undici: Undici.layer() }

/** A body without end, given as fast as it is taken. */
const endless = () => {
  const piece = Buffer.alloc(64 * 1024)
  const seen = { sent: 0 }
  const answer = (_: Http.IncomingMessage, response: Http.ServerResponse) => {
    response.on("error", () => undefined)
    const more = () => {
      while (!response.destroyed && response.write(piece)) seen.sent += piece.length
    }
    response.on("drain", more)
    more()
  }
  return { seen, answer }
}

type Body = Stream.Stream<Uint8Array, unknown>

const leaving: Readonly<Record<string, (stream: Body) => Effect.Effect<unknown, unknown>>> = {
  "takes only the beginning": Stream.runHead,
  "does not read at all": () => Effect.void,
  "is interrupted": (stream) =>
    Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(Stream.runForEach(stream, () => Effect.sleep("1 millis")))
      yield* Effect.sleep("50 millis")
      yield* Fiber.interrupt(fiber)
    })
}

describe("a body that is read as it comes, over a socket", () => {
  for (const [name, transport] of Object.entries(transports)) {
    const client = Effect.map(
      Layer.build(Call.layer({ provider: "plain" }).pipe(Layer.provide(transport))),
      Context.get(HttpClient.HttpClient)
    )

    for (const [how, leave] of Object.entries(leaving)) {
      it.live(
        `is let go when its reader ${how}, over ${name}`,
        () =>
          Effect.gen(function* () {
            const { answer } = endless()
            const server = yield* Loopback.http(answer)
            const get = (yield* client).get(`http://127.0.0.1:${server.port}/`).pipe(Call.streaming)
            yield* Effect.scoped(Effect.flatMap(get, ({ stream }) => leave(stream)))

            assert.strictEqual(server.opened(), 1)
            assert.isTrue(yield* Loopback.until(() => server.open() === 0))
          }).pipe(Effect.scoped),
        10_000
      )
    }

    it.live(
      `is not taken faster than it is read, over ${name}`,
      () =>
        Effect.gen(function* () {
          const { answer, seen } = endless()
          const server = yield* Loopback.http(answer)
          const get = (yield* client).get(`http://127.0.0.1:${server.port}/`).pipe(Call.streaming)
          const sent = yield* Effect.scoped(
            Effect.gen(function* () {
              const { stream } = yield* get
              yield* Stream.runForEach(Stream.take(stream, 3), () => Effect.sleep("200 millis"))
              return seen.sent
            })
          )

          // What both ends of the socket hold, however long the reader takes.
          assert.isBelow(sent, 32 * 1024 * 1024)
        }).pipe(Effect.scoped),
      10_000
    )
  }
})
