/** What a download promises, on virtual time: whatever strikes and whenever its reader leaves, nothing is held afterwards, and no byte comes twice. */
import { assert, describe, it } from "@effect/vitest"
import { type CallPolicy, type CredentialSource, Health } from "@breakwater/core"
import { Connections } from "@breakwater/core/Connections"
import { Fault, FaultMenu, Mode, SimulatedNetwork, type SimulatedProvider, Simulation } from "@breakwater/testkit"
import { Context, Effect, Exit, Fiber, Layer, Redacted, Stream } from "effect"
import { HttpClient, type HttpClientError, type HttpClientResponse } from "effect/http"
import { Census } from "../../../core/test/support/Census.ts"
import * as Archive from "../support/Archive.ts"

const pieces = 4

const faults = [
  Fault.refused,
  Fault.resetBefore,
  Fault.status(503),
  Fault.silence,
  Fault.stalled(0.5),
  Fault.truncated(0.5),
  Fault.trickle({ every: "1 second" })
]

/** A client whose answers are counted from their headers until their body is let go. */
const counting = (inner: HttpClient.HttpClient) => {
  const seen = { open: 0 }
  const counted = (response: HttpClientResponse.HttpClientResponse) => {
    let isOpen = true
    seen.open++
    const close = Effect.sync(() => {
      if (isOpen) seen.open--
      isOpen = false
    })
    return new Proxy(response, {
      get: (target, name): unknown => {
        if (name === "stream") return Stream.ensuring(target.stream, close)
        if (name === "arrayBuffer") return Effect.ensuring(target.arrayBuffer, close)
        return Reflect.get(target, name)
      }
    })
  }
  const client = HttpClient.makeWith<never, never, HttpClientError.HttpClientError, never>(
    Effect.flatMap((request) => Effect.map(inner.execute(request), counted)),
    Effect.succeed
  )
  return { client, seen }
}

const policy: CallPolicy.CallPolicy = {
  attempts: 2,
  silenceTimeout: "2 seconds",
  bulkhead: { concurrency: 1, queueTimeout: "20 seconds" },
  breaker: { consecutiveFailures: 100 },
  streaming: { deadline: "30 seconds" }
}

const manners = [
  "reads to the end",
  "leaves before the headers",
  "leaves after the first piece",
  "is interrupted",
  "never reads"
] as const

/** What one reader had, in its own manner. */
const reader = (archive: Archive.ArchiveClient, manner: (typeof manners)[number]) => {
  const came: Array<number> = []
  const note = (bytes: Uint8Array) => Effect.sync(() => void came.push(...bytes))
  const reading = Effect.flatMap(archive.files.get({ params: { pieces } }), ({ stream }) => {
    if (manner === "never reads") return Effect.sleep("1 second")
    const taken = manner === "leaves after the first piece" ? Stream.take(stream, 1) : stream
    return Stream.runForEach(taken, (bytes) => Effect.andThen(note(bytes), Effect.sleep("10 millis")))
  })
  const scoped = Effect.scoped(reading)
  const after = manner === "leaves before the headers" ? 25 : manner === "is interrupted" ? 75 : undefined
  const ended =
    after === undefined
      ? Effect.exit(scoped)
      : Effect.gen(function* () {
          const fiber = yield* Effect.forkChild(scoped)
          yield* Effect.sleep(after)
          yield* Fiber.interrupt(fiber)
          return yield* Fiber.await(fiber)
        })
  return Effect.map(ended, (exit) => ({ manner, came, isWhole: Exit.isSuccess(exit) }))
}

const downloading = (provider: SimulatedProvider.SimulatedProvider) =>
  Effect.gen(function* () {
    const census = new Census()
    const { client, seen } = counting(yield* SimulatedNetwork.client([provider], { plan: FaultMenu.make(faults) }))
    const transport = Layer.succeed(HttpClient.HttpClient, client)
    const archive = Context.get(
      yield* Effect.orDie(Layer.build(Layer.provide(Archive.layer({ policy }), transport))),
      Archive.Archive
    )
    const one = (name: string) =>
      Effect.flatMap(Simulation.choose(`reader ${name}`, manners), (manner) => reader(archive, manner))
    const readers = yield* census.of(Effect.all([one("a"), one("b")], { concurrency: "unbounded" }))
    const { connections } = yield* Health.snapshot
    for (const { came, isWhole, manner } of readers) {
      if (isWhole && came.length === pieces) yield* Simulation.sometimes("a file comes whole")
      if (!isWhole && came.length > 0) yield* Simulation.sometimes("a file breaks in the middle")
      if (manner === "never reads") yield* Simulation.sometimes("nobody reads")
    }
    return {
      readers,
      connections: seen.open,
      slots: connections.map(({ bulkhead }) => bulkhead.inFlight + bulkhead.waiting),
      fibers: census.fibers,
      timers: census.sleeps
    }
  }).pipe(Effect.scoped, Effect.provideService(Connections, new Set()))

const isPrefix = (came: ReadonlyArray<number>): boolean => came.every((byte, index) => byte === index)

const downloads = Simulation.make({
  name: "downloads",
  world: Archive.make,
  program: downloading,
  invariant: ({ exit }) => {
    if (exit._tag === "Failure") return "the program failed"
    const { connections, fibers, readers, slots, timers } = exit.value
    if (connections > 0) return `${connections} connections held`
    if (slots.some((count) => count > 0)) return "a slot held"
    if (fibers > 0 || timers > 0) return `${fibers} fibers and ${timers} timers left`
    const wrong = readers.find(({ came }) => !isPrefix(came))
    if (wrong !== undefined) return `a reader had ${wrong.came.join(" ")}`
    const short = readers.find(
      ({ came, isWhole, manner }) => manner === "reads to the end" && isWhole && came.length !== pieces
    )
    return short === undefined ? undefined : "a part was taken for the whole"
  },
  sometimes: {
    "a file comes whole": Simulation.marked,
    "a file breaks in the middle": Simulation.marked,
    "nobody reads": Simulation.marked
  }
})

/** An upload of each safety with every policy that sends again: its source gives its bytes once, and says how often it was asked. */
const uploading = (provider: SimulatedProvider.SimulatedProvider) =>
  Effect.gen(function* () {
    const menu = FaultMenu.make([
      Fault.refused,
      Fault.resetBefore,
      Fault.lostResponse,
      Fault.status(503),
      Fault.status(401),
      Fault.rateLimited(),
      Fault.blackhole({ processed: true })
    ])
    const transport = Layer.succeed(HttpClient.HttpClient, yield* SimulatedNetwork.client([provider], { plan: menu }))
    const live = Archive.layer({ credential: renewable(), policy: { ...policy, attempts: 4 } })
    const archive = Context.get(yield* Effect.orDie(Layer.build(Layer.provide(live, transport))), Archive.Archive)
    const reads = [0, 0]
    const source = (index: number) =>
      Stream.suspend(() => {
        reads[index] = (reads[index] ?? 0) + 1
        return Stream.mapEffect(Stream.rechunk(Stream.make(1, 2, 3), 1), (byte) =>
          Effect.as(Effect.sleep("1 second"), Uint8Array.of(byte))
        )
      })
    const sent = yield* Effect.exit(archive.files.send({ payload: source(0) }))
    const put = yield* Effect.exit(archive.files.put({ params: { pieces: 1 }, payload: source(1) }))
    for (const exit of [sent, put]) {
      if (Exit.isFailure(exit)) yield* Simulation.sometimes("an upload fails")
    }
    const { connections } = yield* Health.snapshot
    return { reads, isSent: Exit.isSuccess(sent), held: connections.map(({ bulkhead }) => bulkhead.inFlight) }
  }).pipe(Effect.scoped, Effect.provideService(Connections, new Set()))

/** A credential of which there is always a newer one. */
const renewable = (): CredentialSource.CredentialSource => {
  let generation = 1
  const current = () => ({ secret: Redacted.make(`key-${generation}`), generation })
  return {
    peek: current,
    current: Effect.sync(current),
    refresh: (refused) =>
      Effect.sync(() => {
        generation = refused + 1
        return current()
      })
  }
}

const uploads = Simulation.make({
  name: "uploads",
  world: Archive.make,
  program: uploading,
  invariant: ({ exit, world }) => {
    if (exit._tag === "Failure") return "the program failed"
    const { held, isSent, reads } = exit.value
    if (reads.some((count) => count > 1)) return `a source was read ${reads.join(" and ")} times`
    if (held.some((count) => count > 0)) return "a slot held"
    const stored = world.ledger.ofKind("stored").length
    return stored > 2 || (isSent && stored === 0) ? `stored ${stored} times` : undefined
  },
  sometimes: { "an upload fails": Simulation.marked }
})

const proved = (mode: Mode.Mode) => {
  const outcome = Simulation.verify(downloads, mode)
  process.stdout.write(`streams: ${Simulation.summary(outcome)}\n`)
  return outcome
}

describe("downloads whose readers leave", () => {
  it("hold nothing afterwards, under every plan of two deviations", () => {
    const { exhausted, plans } = proved(Mode.exhaustive({ deviations: 2 }))

    assert.isTrue(exhausted)
    assert.isAbove(plans, 200)
  }, 120_000)

  it("hold nothing afterwards when they are overtaken before any operation", () => {
    const { exhausted } = proved(Mode.exhaustive({ deviations: 1, preemption: "every-op" }))

    assert.isTrue(exhausted)
  }, 120_000)
})

describe("uploads whose bytes can be had once", () => {
  it("are sent once, under every plan of two deviations", () => {
    const outcome = Simulation.verify(uploads, Mode.exhaustive({ deviations: 2 }))
    process.stdout.write(`uploads: ${Simulation.summary(outcome)}\n`)

    assert.isTrue(outcome.exhausted)
  }, 120_000)
})
