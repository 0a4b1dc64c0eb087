import { assert, describe, it } from "@effect/vitest"
import { Effect, Tracer } from "effect"
import * as Acme from "../support/Acme.ts"
import * as Fake from "../support/FakeTransport.ts"
import { inScenario, run } from "../support/Scenario.ts"
import { Recorder } from "../support/Recorder.ts"

describe("an attempt whose transport has a bug", () => {
  it.effect("ends its span and its call, holds no slot, and hands on the defect", () =>
    inScenario(
      Effect.gen(function* () {
        const recorder = new Recorder()
        const transport = Fake.make([() => Effect.die(new Error("a bug")), Fake.json({ id: "o1", amount: 1 })])
        const acme = yield* Acme.connect(transport, { policy: { bulkhead: { concurrency: 1, queue: 0 } } })
        const get = acme.orders.get({ params: { id: "o1" } })
        const { outcome } = yield* run(get).pipe(Effect.provideService(Tracer.Tracer, recorder.tracer))
        const next = yield* run(get)

        assert.deepStrictEqual(outcome, { defect: "Error: a bug" })
        assert.deepStrictEqual(
          recorder.spans.map(({ name, state }) => ({ name, state })),
          [
            { name: "acme.orders.get", state: "defect" },
            { name: "GET /orders/:id", state: "defect" }
          ]
        )
        assert.deepStrictEqual(next.outcome, { value: { id: "o1", amount: 1 } })
      })
    )
  )
})
