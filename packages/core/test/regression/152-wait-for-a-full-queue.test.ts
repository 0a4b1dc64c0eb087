import { assert, describe, it } from "@effect/vitest"
import { Effect, Tracer } from "effect"
import * as Acme from "../support/Acme.ts"
import * as Fake from "../support/FakeTransport.ts"
import { counted } from "../support/Metrics.ts"
import { Recorder } from "../support/Recorder.ts"
import { inScenario, run } from "../support/Scenario.ts"

describe("a call that meets a full queue", () => {
  it.effect("is refused, and is no wait of 0 s", () =>
    inScenario(
      Effect.gen(function* () {
        const recorder = new Recorder()
        const acme = yield* Acme.connect(Fake.make([Fake.silent]), {
          policy: { bulkhead: { concurrency: 1, queue: 0 } }
        })
        const get = Effect.exit(acme.orders.get({ params: { id: "o1" } }))
        yield* Effect.forkChild(get, { startImmediately: true })
        yield* run(get, 0).pipe(Effect.provideService(Tracer.Tracer, recorder.tracer))

        assert.deepStrictEqual(yield* counted, {
          "breakwater.call.count acme.orders.get outcome=refused": 1,
          "breakwater.call.duration acme.orders.get outcome=refused": [1, 0],
          "breakwater.refusal.count acme.orders.get reason=Overloaded": 1
        })
        assert.deepStrictEqual(
          recorder.spans[0]?.events.map(({ name }) => name),
          ["breakwater.refusal"]
        )
      })
    )
  )
})
