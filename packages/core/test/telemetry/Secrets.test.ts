import { assert, describe, it } from "@effect/vitest"
import { Call } from "@breakwater/core"
import { Effect, Redacted, References } from "effect"
import { HttpClientRequest } from "effect/http"
import { PrometheusMetrics } from "effect/observability"
import { inspect } from "node:util"
import * as Acme from "../support/Acme.ts"
import { collected } from "../support/Collector.ts"
import * as Fake from "../support/FakeTransport.ts"
import { exported } from "../support/OpenTelemetry.ts"
import { answers, calls, found, planted, provider } from "../support/Planted.ts"
import { inScenario, toEnd } from "../support/Scenario.ts"

/** One call of each kind, with a secret in everything that it sends, and the text of a scrape after it. */
const calling = Effect.fnUntraced(
  function* (step: Fake.Step, scrapes: Array<string>) {
    const transport = Fake.make([step])
    const acme = yield* Acme.connectTo(provider, transport, {
      credential: Redacted.make(planted.key),
      policy: { attempts: 2 }
    })
    for (const call of Object.values(calls)) yield* toEnd(call(acme) as Effect.Effect<unknown, unknown>)
    const client = yield* Call.client(transport.client, { provider: "plain", redaction: provider.redaction })
    const request = HttpClientRequest.get(`https://plain.test/${planted.path}?token=${planted.query}`).pipe(
      HttpClientRequest.setHeaders({ "x-auth": planted.header, "x-request-id": planted.header })
    )
    yield* toEnd(client.execute(request))
    scrapes.push(yield* PrometheusMetrics.format())
  },
  Effect.provideService(References.MinimumLogLevel, "All")
)

const bugs: ReadonlyArray<readonly [string, Fake.Step]> = [
  ["a bug that quotes the key", () => Effect.die(new TypeError(`no "foo" of Bearer ${planted.key}`))],
  ["a bug that is no error", () => Effect.die(`sent Bearer ${planted.key}`)]
]

describe("planted secrets (TEST-4)", () => {
  it.effect.each([...answers, ...bugs])("are found in nothing that the SDK exports after %s", ([, step]) =>
    Effect.gen(function* () {
      const scrapes: Array<string> = []
      const { logs, metrics, spans } = yield* inScenario(exported(calling(step, scrapes)))
      const parts = [
        ...spans.map(({ attributes, events, links, name, status }) => ({ attributes, events, links, name, status })),
        ...metrics,
        ...logs.map(({ attributes, body }) => ({ attributes, body }))
      ]
      const text = [...scrapes, inspect(parts, { depth: 20, maxArrayLength: null, maxStringLength: null })].join("\n")

      assert.isAtLeast(spans.length, 10)
      assert.isAtLeast(logs.length, 1)
      assert.include(text, "breakwater_call_count")
      assert.deepStrictEqual(found(text), [])
    })
  )

  it.effect.each([...answers, ...bugs])("are found in nothing that Effect's Otlp sends after %s", ([, step]) =>
    Effect.gen(function* () {
      const { logs, metrics, traces } = yield* inScenario(collected(calling(step, [])))
      const text = [...traces, ...metrics, ...logs].join("\n")

      assert.include(text, "acme.orders.capture")
      assert.deepStrictEqual(found(text), [])
    })
  )
})
