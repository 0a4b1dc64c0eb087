import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Acme from "../support/Acme.ts"
import * as Fake from "../support/FakeTransport.ts"
import { inScenario, run } from "../support/Scenario.ts"

/** What a transport that unpacks hands on: the length on the wire, and a body that is a thousand times longer. */
const unpacked = Fake.chunks(["x".repeat(1000), "x".repeat(1000)], 200, {
  "content-encoding": "gzip",
  "content-length": "20"
})

describe("a body whose announced length is that of its compressed form", () => {
  it.effect("is still bounded, by what comes out", () =>
    inScenario(
      Effect.gen(function* () {
        const acme = yield* Acme.connect(Fake.make([unpacked]), { policy: { maxBodyBytes: 1500 } })
        const { outcome } = yield* run(acme.orders.get({ params: { id: "o1" } }))

        assert.deepStrictEqual(outcome, {
          class: "FatalError",
          attempts: 1,
          reason: { _tag: "ResponseInvalid", status: 200, path: "", expected: "at most 1500 bytes" }
        })
      })
    )
  )

  it.effect("is bounded where the announced length is simply wrong", () =>
    inScenario(
      Effect.gen(function* () {
        const lying = Fake.chunks(["x".repeat(2000)], 200, { "content-length": "20" })
        const acme = yield* Acme.connect(Fake.make([lying]), { policy: { maxBodyBytes: 1500 } })
        const { outcome } = yield* run(acme.orders.get({ params: { id: "o1" } }))

        assert.deepStrictEqual(outcome, {
          class: "FatalError",
          attempts: 1,
          reason: { _tag: "ResponseInvalid", status: 200, path: "", expected: "at most 1500 bytes" }
        })
      })
    )
  )
})
