import { assert, describe, it } from "@effect/vitest"
import * as CredentialSource from "@breakwater/core/CredentialSource"
import { Effect, Redacted } from "effect"
import { TestClock } from "effect/testing"

/** Fifty calls that meet a 401 with the same key, and a store that takes a second. */
const afterRotation = (found: string) =>
  Effect.gen(function* () {
    let reads = 0
    const read = Effect.andThen(
      Effect.sync(() => reads++),
      Effect.as(Effect.sleep("1 second"), Redacted.make(found))
    )
    const source = CredentialSource.rereading(Redacted.make("k1"), read)
    const refreshes = Effect.forEach(
      Array.from({ length: 50 }),
      () => source.refresh?.(1) ?? Effect.die("no refresh"),
      {
        concurrency: "unbounded"
      }
    )

    const [credentials] = yield* Effect.all([refreshes, TestClock.adjust("1 second")], { concurrency: "unbounded" })

    return { reads, generations: [...new Set(credentials.map(({ generation }) => generation))] }
  })

describe("CredentialSource.rereading under many 401s at once", () => {
  it.effect("asks the store once, and gives everybody the new key (AUTH-7)", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* afterRotation("k2"), { reads: 1, generations: [2] })
    })
  )

  it.effect("asks the store once when there is nothing newer", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* afterRotation("k1"), { reads: 1, generations: [1] })
    })
  )
})
