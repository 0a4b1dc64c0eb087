import { assert, describe, it } from "@effect/vitest"
import * as Form from "@breakwater/core/Form"

describe("Form.flatten of a field called __proto__", () => {
  it("does not lose it", () => {
    const tree = { ["__proto__"]: "x" }

    assert.deepStrictEqual(Object.entries(Form.flatten(tree)), [["__proto__", "x"]])
  })
})
