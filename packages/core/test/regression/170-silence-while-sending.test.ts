import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import * as Fake from "../support/FakeTransport.ts"
import * as Media from "../support/Media.ts"
import { inScenario, run } from "../support/Scenario.ts"

const stored = { id: "f1" }
const piece = Uint8Array.of(1, 2, 3)

/** A file of four pieces, each of which takes three seconds. */
const slowly = Stream.fromIterable([piece, piece, piece, piece]).pipe(
  Stream.rechunk(1),
  Stream.mapEffect((bytes) => Effect.as(Effect.sleep("3 seconds"), bytes))
)

const policy = { silenceTimeout: "5 seconds", attemptTimeout: "20 seconds", attempts: 1 } as const

describe("an upload that takes longer than the silence timeout", () => {
  it.effect("is not silence while it is sent", () =>
    inScenario(
      Effect.gen(function* () {
        const media = yield* Media.connect(Fake.make([Media.taking(Fake.json(stored))]), { policy })

        assert.deepStrictEqual(yield* run(media.uploads.create({ payload: slowly })), {
          outcome: { value: stored },
          took: 12_000
        })
      })
    )
  )

  it.effect("is not silence while its source has nothing to send", () =>
    inScenario(
      Effect.gen(function* () {
        const media = yield* Media.connect(Fake.make([Media.taking(Fake.json(stored))]), { policy })
        const payload = Stream.fromEffect(Effect.as(Effect.sleep("18 seconds"), piece))

        assert.deepStrictEqual(yield* run(media.uploads.create({ payload })), {
          outcome: { value: stored },
          took: 18_000
        })
      })
    )
  )

  it.effect("has its silence from the last byte that was sent", () =>
    inScenario(
      Effect.gen(function* () {
        const media = yield* Media.connect(Fake.make([Media.taking(Fake.silent)]), { policy })
        const { outcome, took } = yield* run(media.uploads.replace({ params: { id: "f1" }, payload: slowly }))

        assert.strictEqual(took, 17_000)
        assert.deepStrictEqual(outcome, {
          class: "RetryableError",
          attempts: 1,
          reason: { _tag: "Timeout", phase: "silence", after: 5000 },
          sent: "unknown"
        })
      })
    )
  )

  it.effect("is silence when the provider takes none of it", () =>
    inScenario(
      Effect.gen(function* () {
        const media = yield* Media.connect(Fake.make([Fake.silent]), { policy })
        const { took } = yield* run(media.uploads.replace({ params: { id: "f1" }, payload: slowly }))

        assert.strictEqual(took, 5000)
      })
    )
  )

  it.effect("ends with its attempt all the same", () =>
    inScenario(
      Effect.gen(function* () {
        const media = yield* Media.connect(Fake.make([Media.taking(Fake.json(stored))]), {
          policy: { ...policy, attemptTimeout: "10 seconds" }
        })
        const { took } = yield* run(media.uploads.replace({ params: { id: "f1" }, payload: slowly }))

        assert.strictEqual(took, 10_000)
      })
    )
  )
})
