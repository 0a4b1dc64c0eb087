import { assert, describe, it } from "@effect/vitest"
import * as Outbox from "@breakwater/core/Outbox"
import * as OutboxMemory from "@breakwater/core/OutboxMemory"
import type { ProviderError } from "@breakwater/core/ProviderError"
import * as Telemetry from "@breakwater/core/Telemetry"
import { Effect, Layer, Logger, Metric, References, Schema } from "effect"
import { Recorder } from "../support/Recorder.ts"
import { inTime } from "./support/InTime.ts"
import { fatal, retryable } from "./support/Mails.ts"

const { attribute } = Telemetry

/** Three commands: one is done at once, one the second time, one never. */
const three = (queue: string) =>
  Outbox.make({
    queue,
    payload: Schema.Struct({ to: Schema.String }),
    jitter: 0,
    handle: ({ to }, { attempt }): Effect.Effect<void, ProviderError> => {
      if (to === "never") return Effect.fail(fatal)
      return to === "later" && attempt === 1 ? Effect.fail(retryable()) : Effect.void
    }
  })

const work = Effect.fnUntraced(function* (mails: ReturnType<typeof three>) {
  yield* mails.addAll(["done", "later", "never"].map((to) => ({ payload: { to }, key: `secret ${to}` })))
  yield* Effect.timeoutOption(mails.run({ concurrency: 1 }), "1 minute")
  yield* mails.counts
})

describe("What an outbox tells", () => {
  it("counts attempts by queue and outcome, how old commands were, and how many there are", () => {
    const queue = "told by metrics"
    const labels = { [attribute.queue]: queue }
    const found = inTime(
      Effect.gen(function* () {
        yield* work(three(queue))
        const ends = yield* Effect.forEach(Telemetry.commanded, (outcome) =>
          Metric.value(Telemetry.bind(Telemetry.commands, { ...labels, [attribute.outcome]: outcome }))
        )
        const age = yield* Metric.value(Telemetry.bind(Telemetry.commandAge, labels))
        const depth = yield* Effect.forEach(["Done", "Dead", "Ready"], (state) =>
          Metric.value(Telemetry.bind(Telemetry.commandDepth, { ...labels, [attribute.commandState]: state }))
        )
        return { ends, age, depth } as {
          ends: Array<object>
          age: { count: number; sum: number }
          depth: Array<object>
        }
      }).pipe(Effect.provide(Layer.merge(OutboxMemory.layer(), Logger.layer([]))))
    )

    assert.deepStrictEqual(
      found.ends.map((state) => "count" in state && state.count),
      [2, 1, 1, 0]
    )
    assert.deepStrictEqual(
      found.depth.map((state) => "value" in state && state.value),
      [2, 1, 0]
    )
    assert.strictEqual(found.age.count, 2)
    assert.isTrue(found.age.sum >= 5 && found.age.sum <= 6.1, `${found.age.sum}`)
  })

  it("writes a line for each command that was not done, with its sequence and neither its key nor its payload", () => {
    const lines: Array<Record<string, unknown>> = []
    const logger = Logger.make(({ fiber, logLevel, message }) => {
      const annotations = fiber.getRef(References.CurrentLogAnnotations)
      lines.push({ level: logLevel, text: String(message), ...annotations })
    })
    inTime(work(three("mail")).pipe(Effect.provide(Layer.merge(OutboxMemory.layer(), Logger.layer([logger])))))

    assert.deepStrictEqual(lines, [
      {
        level: "Warn",
        text: "outbox mail: command 2, attempt 1: again in 5s: sendgrid.mail.send: transport failed with ECONNRESET",
        queue: "mail",
        event: "command rescheduled",
        command: 2,
        attempt: 1,
        error_message: "sendgrid.mail.send: transport failed with ECONNRESET"
      },
      {
        level: "Error",
        text: "outbox mail: command 3, attempt 1: dead: sendgrid.mail.send: not found (404)",
        queue: "mail",
        event: "command dead",
        command: 3,
        attempt: 1,
        error_message: "sendgrid.mail.send: not found (404)"
      }
    ])
  })

  it("makes a span of each attempt where somebody would see it", () => {
    const { spans, tracer } = new Recorder()
    const traced = three("mail")
    inTime(
      work(traced).pipe(Effect.withTracer(tracer), Effect.provide(Layer.merge(OutboxMemory.layer(), Logger.layer([]))))
    )

    assert.deepStrictEqual(
      spans
        .filter(({ name }) => name.startsWith("outbox"))
        .map(({ attributes, kind, name, parent }) => [name, kind, parent, attributes]),
      [1, 1, 1, 2].map((attempt) => [
        "outbox mail",
        "consumer",
        undefined,
        { [attribute.queue]: "mail", [attribute.attempt]: attempt }
      ])
    )
  })
})
