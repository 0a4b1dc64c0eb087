import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import * as Acme from "../support/Acme.ts"
import * as Fake from "../support/FakeTransport.ts"
import { errorOf, inScenario } from "../support/Scenario.ts"

describe("a key that was read with its line end", () => {
  it.effect.each(["test_4242abcd\n", "test_42\u000042", " test_4242abcd"])(
    "%j is refused when the layer is built, and not shown",
    (key) =>
      inScenario(
        Effect.gen(function* () {
          const error = yield* errorOf(Acme.connect(Fake.make([]), { credential: Redacted.make(key) }))

          assert.strictEqual(error._tag, "ConnectionError")
          assert.strictEqual(
            error.message,
            "connection to acme: credential must not hold control characters, or spaces at its ends"
          )
        })
      )
  )
})
