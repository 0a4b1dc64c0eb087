import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { HttpApi, HttpApiEndpoint, HttpApiGroup } from "effect/http-api"
import { Context, Layer, Schema } from "effect"
import * as Client from "@breakwater/core/Client"
import * as Auth from "@breakwater/core/Auth"
import * as Provider from "@breakwater/core/Provider"
import * as Idempotency from "@breakwater/core/Idempotency"
import * as Safety from "@breakwater/core/Safety"
import { apiKey } from "../support/Acme.ts"
import * as Fake from "../support/FakeTransport.ts"
import { inScenario, run } from "../support/Scenario.ts"

/** A key of this window may be sent for five seconds. */
const provider = Provider.make("brief", {
  api: HttpApi.make("brief").add(
    HttpApiGroup.make("things").add(
      HttpApiEndpoint.post("create", "/things", { success: Schema.String }).pipe(
        Safety.keyed({ header: "Key", window: "3605 seconds" })
      )
    )
  ),
  environments: { sandbox: "https://sandbox.brief.test", production: "https://brief.test" },
  auth: Auth.bearer()
})

class Brief extends Context.Service<Brief, Client.Of<typeof provider>>()("test/Brief") {}

const create = Effect.fnUntraced(function* (script: Fake.Script) {
  const transport = Fake.make(script)
  const built = yield* Layer.build(
    Client.layer(Brief, provider, { credential: apiKey }).pipe(Layer.provide(transport.layer))
  )
  const { outcome, took } = yield* run(Context.get(built, Brief).things.create().pipe(Idempotency.withKey("k")))
  return { outcome, took, sentAt: transport.sent.map(({ at }) => at - (transport.sent[0]?.at ?? 0)) }
})

describe("a key", () => {
  it.effect(
    "that would be sent after its window, since the provider asked to wait, ends the call: its outcome is unknown",
    () =>
      inScenario(
        Effect.gen(function* () {
          // 100 ms of jitter come on top, and the last millisecond is the window's end.
          const asked = (millis: string) => [Fake.empty(503, { "retry-after-ms": millis }), Fake.json("done")]
          const within = yield* create(asked("4899"))
          const beyond = yield* create(asked("4900"))

          assert.deepStrictEqual(within, { outcome: { value: "done" }, took: 4999, sentAt: [0, 4999] })
          assert.deepStrictEqual(beyond.outcome, {
            class: "OutcomeUnknown",
            attempts: 1,
            reason: { _tag: "Unavailable", status: 503, problem: "status", retryAfter: 4900 },
            firstSentAt: 30 * 60 * 1000
          })
          assert.deepStrictEqual({ took: beyond.took, sentAt: beyond.sentAt }, { took: 0, sentAt: [0] })
        })
      )
  )

  it.effect("whose window ends before the attempt that used it is not sent again", () =>
    inScenario(
      Effect.gen(function* () {
        // The silence strikes at 5,000 ms, when the window is just over.
        const ended = yield* create([Fake.silent, Fake.json("done")])

        assert.deepStrictEqual(ended, {
          outcome: {
            class: "OutcomeUnknown",
            attempts: 1,
            reason: { _tag: "Timeout", phase: "silence", after: 5000 },
            firstSentAt: 0
          },
          took: 5000,
          sentAt: [0]
        })
      })
    )
  )

  it.effect(
    "that was certainly not used may be sent whenever: its window begins with the first request that may have arrived",
    () =>
      inScenario(
        Effect.gen(function* () {
          const ended = yield* create([Fake.empty(429, { "retry-after": "20" }), Fake.json("done")])

          assert.deepStrictEqual(ended.outcome, { value: "done" })
          assert.deepStrictEqual(ended.sentAt, [0, 20_500])
        })
      )
  )
})
