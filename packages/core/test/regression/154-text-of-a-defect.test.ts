import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Tracer } from "effect"
import * as Acme from "../support/Acme.ts"
import * as Fake from "../support/FakeTransport.ts"
import { counted } from "../support/Metrics.ts"
import { Recorder } from "../support/Recorder.ts"
import { inScenario, run } from "../support/Scenario.ts"

describe("a defect whose message quotes what it tripped over", () => {
  it.effect("is in no span, and counts as an attempt", () =>
    inScenario(
      Effect.gen(function* () {
        const recorder = new Recorder()
        const key = "test_4242abcd"
        const bug = new TypeError(`cannot read the "foo" of Bearer ${key}`)
        const acme = yield* Acme.connect(Fake.make([Fake.late(20, () => Effect.die(bug))]))
        yield* run(acme.orders.get({ params: { id: "o1" } })).pipe(
          Effect.provideService(Tracer.Tracer, recorder.tracer)
        )
        const texts = recorder.spans.map(({ exit }) => (exit?._tag === "Failure" ? Cause.pretty(exit.cause) : ""))

        assert.strictEqual(texts.length, 2)
        for (const text of texts) {
          assert.include(text, 'TypeError: cannot read the "foo" of')
          assert.notInclude(text, key)
        }
        assert.deepStrictEqual(
          recorder.spans.map(({ attributes }) => attributes["error.type"]),
          ["DEFECT", "DEFECT"]
        )
        const counts = yield* counted
        assert.deepStrictEqual(counts["http.client.request.duration acme.orders.get error.type=DEFECT"], [1, 0.02])
      })
    )
  )
})
