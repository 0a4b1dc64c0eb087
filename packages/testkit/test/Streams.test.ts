/** Bodies that are read and sent as they come, held against each other in memory and on a port over both transports. */
import { assert, describe, it } from "@effect/vitest"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { Context, Effect, Layer, References, Result, Stream } from "effect"
import { FetchHttpClient, type HttpClient } from "effect/http"
import type { CallPolicy } from "@breakwater/core"
import { Health } from "@breakwater/core"
import { Connections } from "@breakwater/core/Connections"
import * as Undici from "@breakwater/core/node/Undici"
import { isProviderError } from "@breakwater/core/ProviderError"
import { Fault, FaultPlan, SimulatedNetwork } from "@breakwater/testkit"
import * as Serve from "@breakwater/testkit/node/Serve"
import * as Archive from "./support/Archive.ts"

const policy = {
  attempts: 1,
  silenceTimeout: "250 millis",
  attemptTimeout: "3 seconds"
} satisfies CallPolicy.CallPolicy

const connected = (
  transport: Layer.Layer<HttpClient.HttpClient>,
  options?: { readonly baseUrl?: string; readonly policy?: CallPolicy.CallPolicy }
) =>
  Effect.map(Layer.build(Layer.provide(Archive.layer({ policy, ...options }), transport)), (context) =>
    Context.get(context, Archive.Archive)
  )

const held = Effect.map(Health.snapshot, ({ connections: [connection] }) => connection?.bulkhead.inFlight)

/** The bytes that came, and what came after them. */
const download = (archive: Archive.ArchiveClient) =>
  Effect.gen(function* () {
    const came: Array<number> = []
    const answer = Effect.flatMap(archive.files.get({ params: { pieces: 10 } }), ({ stream }) =>
      Stream.runForEach(stream, (bytes) => Effect.sync(() => void came.push(...bytes)))
    )
    const ended = yield* Effect.result(Effect.scoped(answer))
    const error = Result.isFailure(ended) && isProviderError(ended.failure) ? ended.failure : undefined
    return {
      came,
      error: error?._tag,
      reason: error?.reason._tag,
      bytesRead: error?.bytesRead,
      held: yield* held
    }
  })

const inMemory = Effect.fnUntraced(function* (fault: Fault.Fault) {
  const simulated = yield* Archive.make
  return yield* download(yield* connected(SimulatedNetwork.layer([simulated], { plan: FaultPlan.always(fault) })))
})

const onPort = Effect.fnUntraced(function* (fault: Fault.Fault, transport: Layer.Layer<HttpClient.HttpClient>) {
  const simulated = yield* Archive.make
  const { url } = yield* Serve.make(simulated, { plan: FaultPlan.always(fault) })
  return yield* download(yield* connected(transport, { baseUrl: url }))
})

const transports = { fetch: FetchHttpClient.layer, undici: Undici.layer() }
const alone = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.scoped(effect).pipe(
    Effect.provideService(Connections, new Set()),
    Effect.provideService(References.CurrentLoggers, new Set())
  )

const first = (count: number) => Array.from({ length: count }, (_, index) => index)

/** What comes, and how it ends: before the headers as ever, behind them in the stream. */
const cases: ReadonlyArray<readonly [Fault.Fault, came: ReadonlyArray<number>, reason: string | undefined]> = [
  [Fault.none, first(10), undefined],
  [Fault.latency("50 millis"), first(10), undefined],
  [Fault.trickle({ every: "20 millis" }), first(10), undefined],
  [Fault.silence, [], "Timeout"],
  [Fault.stalled(0.5), first(5), "Timeout"],
  [Fault.truncated(0), [], "TransportFailed"],
  [Fault.truncated(0.5), first(5), "TransportFailed"],
  [Fault.resetBefore, [], "TransportFailed"],
  [Fault.blackhole(), [], "Timeout"],
  [Fault.status(503), [], "Unavailable"]
]

describe("a download, in memory and on a port", () => {
  for (const [fault, came, reason] of cases) {
    it.live(`meets ${fault.name} alike`, () =>
      Effect.gen(function* () {
        const memory = yield* alone(inMemory(fault))

        assert.deepStrictEqual([memory.came, memory.reason, memory.held], [came, reason, 0])
        for (const [name, transport] of Object.entries(transports))
          assert.deepStrictEqual(yield* alone(onPort(fault, transport)), memory, name)
      })
    )
  }
})

describe("an upload, on a port", () => {
  for (const [name, transport] of Object.entries(transports)) {
    it.live(`is sent in pieces over ${name}, and is not silent while its source is`, () =>
      alone(
        Effect.gen(function* () {
          const simulated = yield* Archive.make
          const { url } = yield* Serve.make(simulated)
          const archive = yield* connected(transport, { baseUrl: url })
          const payload = Stream.fromIterable(first(4)).pipe(
            Stream.rechunk(1),
            Stream.mapEffect((index) => Effect.as(Effect.sleep("150 millis"), Uint8Array.of(index)))
          )

          assert.deepStrictEqual(yield* archive.files.send({ payload }), { bytes: 4 })
          assert.strictEqual(simulated.ledger.exchangeCount, 1)
        })
      )
    )

    it.live(`that its source breaks off over ${name} is not sent again: unknown for a write, retryable for a PUT`, () =>
      alone(
        Effect.gen(function* () {
          const simulated = yield* Archive.make
          const { url } = yield* Serve.make(simulated)
          const archive = yield* connected(transport, { baseUrl: url, policy: { ...policy, attempts: 4 } })
          let reads = 0
          const payload = Stream.suspend(() => {
            reads++
            return Stream.concat(Stream.make(Uint8Array.of(1)), Stream.die(new Error("disk gone")))
          })
          const sent = yield* Effect.flip(archive.files.send({ payload }))
          const put = yield* Effect.flip(archive.files.put({ params: { pieces: 1 }, payload }))

          assert.deepStrictEqual([sent._tag, sent.attempts], ["OutcomeUnknown", 1])
          assert.deepStrictEqual([put._tag, put.attempts], ["RetryableError", 1])
          assert.strictEqual(put._tag === "RetryableError" ? put.sent : "", "unknown")
          assert.strictEqual(reads, 2)
          assert.strictEqual(simulated.ledger.entries.length, 0)
        })
      )
    )
  }
})

setFlagsFromString("--expose-gc")
const collect = runInNewContext("gc") as () => void

/** Bytes in buffers that somebody still holds. */
const kept = (): number => {
  collect()
  return process.memoryUsage().arrayBuffers
}

describe("a body of 50 MB, on a port", () => {
  const pieces = 800
  const megabyte = 1024 * 1024

  for (const [name, transport] of Object.entries(transports)) {
    it.live(
      `takes no more memory than its buffers over ${name}, also where its reader is slow`,
      () =>
        alone(
          Effect.gen(function* () {
            const simulated = yield* Archive.make
            const { url } = yield* Serve.make(simulated)
            const archive = yield* connected(transport, { baseUrl: url })
            const before = kept()
            let most = 0
            let bytes = 0
            let chunks = 0
            const { stream } = yield* archive.files.get({ params: { pieces } })
            yield* Stream.runForEach(stream, (each) => {
              bytes += each.length
              if (chunks++ % 100 !== 0) return Effect.void
              most = Math.max(most, kept())
              return Effect.sleep("10 millis")
            })

            assert.strictEqual(bytes, pieces * Archive.pieceBytes)
            // Transports are late to let go of what was read; the whole would be 50 MB.
            assert.isBelow(most - before, 25 * megabyte)
            assert.strictEqual(yield* held, 0)
          })
        ),
      20_000
    )

    it.live(`that nobody reads stays with the provider over ${name}`, () =>
      alone(
        Effect.gen(function* () {
          const simulated = yield* Archive.make
          const { url } = yield* Serve.make(simulated)
          const archive = yield* connected(transport, { baseUrl: url })
          const before = kept()
          const answer = archive.files.get({ params: { pieces } })
          const grown = yield* Effect.scoped(
            Effect.map(
              Effect.tap(answer, () => Effect.sleep("300 millis")),
              () => kept() - before
            )
          )

          assert.isBelow(grown, 25 * megabyte)
          assert.strictEqual(yield* held, 0)
        })
      )
    )
  }
})
