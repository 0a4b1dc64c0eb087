import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { HttpApi, HttpApiEndpoint, HttpApiGroup } from "effect/http-api"
import * as Auth from "@breakwater/core/Auth"
import * as Provider from "@breakwater/core/Provider"
import { Drift, Exchange, Fault, Wire } from "@breakwater/testkit"

const Item = Schema.Struct({
  id: Schema.String,
  state: Schema.Literals(["new", "sold"]),
  note: Schema.optional(Schema.NullOr(Schema.String)),
  price: Schema.Int
})

const provider = Provider.make("store", {
  api: HttpApi.make("store").add(
    HttpApiGroup.make("items").add(
      HttpApiEndpoint.get("list", "/items", { success: Schema.Struct({ data: Schema.Array(Item) }) })
    )
  ),
  environments: { sandbox: "https://sandbox.store.test", production: "https://api.store.test" },
  auth: Auth.bearer()
})

const exchange: Exchange.Exchange = {
  index: 0,
  at: 0,
  provider: "store",
  operation: "items.list",
  method: "GET",
  path: "/items",
  key: undefined,
  label: "GET /items",
  occurrence: 0
}

const item = { id: "i1", state: "new", note: "fragile", price: 5 }
const edge = (status: number) => Exchange.json(status, {})

const after = (fault: Fault.Fault, answer = Exchange.json(200, { data: [item, item] })) => {
  const wire = Wire.of({ fault, answer, edge, now: 0 })
  assert(wire._tag === "Answered")
  return JSON.parse(new TextDecoder().decode(wire.chunks[0])) as unknown
}

describe("Drift.of", () => {
  it("makes every drift of the operation's own response", () => {
    const drifts = Drift.of(provider)

    assert.deepStrictEqual(
      drifts(exchange).map(({ name }) => name.slice("drift: ".length)),
      [
        "extra field at the top",
        "null at data",
        "null at data.*",
        "extra field at data.*",
        "null at data.*.id",
        "null at data.*.state",
        "widened enum at data.*.state",
        "missing optional at data.*.note",
        "null at data.*.price",
        "string for number at data.*.price"
      ]
    )
    assert.deepStrictEqual(drifts({ ...exchange, operation: "unknown" }), [])
  })
})

describe("Fault.drift", () => {
  it("changes one place of the answer, in all items of an array", () => {
    const all = (change: object) => ({
      data: [
        { ...item, ...change },
        { ...item, ...change }
      ]
    })
    const { note: _, ...bare } = item

    assert.deepStrictEqual(after(Fault.drift("null", ["data", "*", "id"])), all({ id: null }))
    assert.deepStrictEqual(after(Fault.drift("string for number", ["data", "*", "price"])), all({ price: "5" }))
    assert.deepStrictEqual(
      after(Fault.drift("widened enum", ["data", "*", "state"])),
      all({ state: "breakwater_unheard_of" })
    )
    assert.deepStrictEqual(after(Fault.drift("missing optional", ["data", "*", "note"])), { data: [bare, bare] })
    assert.deepStrictEqual(after(Fault.drift("extra field", [])), {
      data: [item, item],
      breakwater_unheard_of: true
    })
  })

  it("leaves alone what is not there, and answers that are no success", () => {
    assert.deepStrictEqual(after(Fault.drift("null", ["next", "id"])), { data: [item, item] })
    assert.deepStrictEqual(after(Fault.drift("extra field", []), Exchange.json(404, { error: "none" })), {
      error: "none"
    })
  })
})
