import { assert, describe, it } from "@effect/vitest"
import * as Operation from "@breakwater/core/Operation"
import { Result, Schema } from "effect"
import { HttpApi, HttpApiEndpoint, HttpApiGroup } from "effect/http-api"

describe("Operation.policy on a group and on one of its endpoints", () => {
  it("puts the endpoint's over the group's, field by field, and does not forget the group's", () => {
    const get = HttpApiEndpoint.get("get", "/x", { success: Schema.String }).pipe(
      Operation.policy({ deadline: "7 seconds" })
    )
    const group = HttpApiGroup.make("things")
      .add(get)
      .pipe(Operation.policy({ attempts: 2, deadline: "9 seconds" }))

    const api: HttpApi.Constraint = HttpApi.make("acme").add(group)

    const operations = Result.getOrThrow(Operation.ofApi("acme", api as HttpApi.Top, {}))

    const policy = operations.get("things.get")?.policy
    assert.deepStrictEqual([policy?.attempts, policy?.deadlineMillis], [2, 7000])
  })
})
