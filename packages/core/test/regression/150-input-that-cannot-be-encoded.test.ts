import { assert, describe, it } from "@effect/vitest"
import { Effect, Tracer } from "effect"
import * as Call from "@breakwater/core/Call"
import * as Acme from "../support/Acme.ts"
import * as Fake from "../support/FakeTransport.ts"
import { counted } from "../support/Metrics.ts"
import { Recorder } from "../support/Recorder.ts"
import { inScenario, LogBook, run } from "../support/Scenario.ts"

const inputs: ReadonlyArray<
  readonly [string, (acme: Acme.AcmeClient) => Effect.Effect<unknown, unknown>, name: string, message: string]
> = [
  [
    "that does not fit its schema",
    (acme) => acme.orders.replace({ params: { id: "o1" }, payload: { amount: 0.5 } }),
    "acme.orders.replace",
    "invalid request: amount must be an integer"
  ],
  [
    "that walks up the path",
    (acme) => acme.orders.get({ params: { id: ".." } }),
    "acme.orders.get",
    "invalid request: params.id must not be '.' or '..'"
  ]
]

describe("input that was refused before the call began", () => {
  it.effect.each(inputs)("%s is seen like any other refusal: id, span, count and line", ([, use, name, message]) => {
    const book = new LogBook()
    const recorder = new Recorder()
    return inScenario(
      Effect.gen(function* () {
        const acme = yield* Acme.connect(Fake.make([]))
        yield* run(use(acme).pipe(Call.withCorrelationId("c-1"))).pipe(
          Effect.provideService(Tracer.Tracer, recorder.tracer)
        )
        const [span, ...others] = recorder.spans

        assert.deepStrictEqual(others, [])
        assert.deepStrictEqual(
          [span?.name, span?.attributes["breakwater.correlation_id"], span?.attributes["error.type"], span?.state],
          [name, "c-1", "INVALID_REQUEST", `${name}: ${message}`]
        )
        assert.deepStrictEqual(span?.events, [
          { name: "breakwater.refusal", at: 0, attributes: { "breakwater.reason": "InvalidRequest" } }
        ])
        assert.deepStrictEqual(yield* counted, {
          [`breakwater.call.count ${name} outcome=refused`]: 1,
          [`breakwater.call.duration ${name} outcome=refused`]: [1, 0],
          [`breakwater.refusal.count ${name} reason=InvalidRequest`]: 1
        })
        const [line, ...more] = book.of("Warn")
        assert.deepStrictEqual(more, [])
        assert.strictEqual(line?.message, `${name} attempt 1 refused: ${message}`)
        assert.deepStrictEqual(
          [line?.fields["correlation_id"], line?.fields["error_code"], line?.fields["event"]],
          ["c-1", "INVALID_REQUEST", "refused"]
        )
      }),
      book
    )
  })
})
