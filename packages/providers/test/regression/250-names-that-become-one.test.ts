import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { NewMetadata } from "@breakwater/providers/stripe"

const accepts = Schema.is(NewMetadata)

describe("metadata for Stripe with half of a surrogate pair", () => {
  it("is refused: UTF-8 has none, so that two such names would arrive as one, and no value as it was", () => {
    assert.deepStrictEqual(
      [{ "\ud800": "", "\udc00": "" }, { "\ud800": "" }, { order: "\udc00" }, { order: "🚢", "🚢": "x" }].map(accepts),
      [false, false, false, true]
    )
  })
})
