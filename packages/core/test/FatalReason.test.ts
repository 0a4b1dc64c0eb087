import { assert, describe, it } from "@effect/vitest"
import * as Fatal from "@breakwater/core/FatalReason"
import { Effect, Schema } from "effect"
import { fatalReasons, retryableReasons } from "./support/Samples.ts"

describe("FatalReason", () => {
  it("says in a few lower-case words what happened, with status and code", () => {
    assert.deepStrictEqual(
      fatalReasons.map(({ message }) => message),
      [
        "invalid request (422 amount_too_small)",
        "unauthorized: the static credential was refused (401 bad_key)",
        "credential rejected after a refresh (401)",
        "permission denied (403)",
        "not found (404 resource_missing)",
        "conflict (409)",
        "quota exhausted (402)",
        "idempotency key mismatch (400 idempotency_error)",
        "invalid response (200): data.0.amount: expected a whole number",
        "rejected (418 teapot)",
        "an earlier call under this key may have been carried out",
        "idempotency record unusable: it was answered, and the answer was not kept",
        "dry run, not sent"
      ]
    )
  })

  it("names the field and the rule of a request that we refused ourselves", () => {
    assert.deepStrictEqual(
      [
        new Fatal.InvalidRequest({}),
        new Fatal.InvalidRequest({ detail: "must be an object" }),
        new Fatal.InvalidRequest({ field: "path", detail: "must not hold control characters" }),
        new Fatal.InvalidRequest({ field: "path" }),
        new Fatal.IdempotencyMismatch({ detail: "the key was used for another request before" }),
        new Fatal.ResponseInvalid({ path: "", expected: "at most 8 bytes" }),
        new Fatal.Rejected({ code: "without a status" })
      ].map(({ message }) => message),
      [
        "invalid request",
        "invalid request: must be an object",
        "invalid request: path must not hold control characters",
        "invalid request",
        "idempotency key mismatch: the key was used for another request before",
        "invalid response: expected at most 8 bytes",
        "rejected"
      ]
    )
  })

  it.effect("comes back from JSON as it was", () =>
    Effect.gen(function* () {
      const codec = Schema.toCodecJson(Schema.Array(Fatal.FatalReason))

      const json = JSON.stringify(yield* Schema.encodeEffect(codec)(fatalReasons))
      const back = yield* Schema.decodeUnknownEffect(codec)(JSON.parse(json))

      assert.deepStrictEqual(
        back.map(({ message }) => message),
        fatalReasons.map(({ message }) => message)
      )
      assert.isTrue(back.every(Fatal.isFatalReason))
    })
  )
})

describe("FatalReason.isFatalReason", () => {
  it("tells a fatal reason from a retryable one", () => {
    assert.isTrue(fatalReasons.every(Fatal.isFatalReason))
    assert.isFalse([...retryableReasons, undefined, { _tag: "NotFound" }].some(Fatal.isFatalReason))
  })
})
