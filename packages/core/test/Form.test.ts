import { assert, describe, it } from "@effect/vitest"
import * as Form from "@breakwater/core/Form"
import { Effect, Schema } from "effect"

describe("Form.flatten", () => {
  it("names every leaf by its way through objects and arrays", () => {
    const flat = Form.flatten({
      amount: "4200",
      card: { exp: ["12", "2030"], owner: { name: "Ada" } },
      items: [{ sku: "a" }, { sku: "b" }]
    })

    assert.deepStrictEqual(flat, {
      amount: "4200",
      "card[exp][0]": "12",
      "card[exp][1]": "2030",
      "card[owner][name]": "Ada",
      "items[0][sku]": "a",
      "items[1][sku]": "b"
    })
  })

  it("leaves out what is absent or empty, and keeps empty text", () => {
    assert.deepStrictEqual(Form.flatten({ a: undefined, b: [], c: {}, d: "", e: { f: undefined } }), { d: "" })
  })
})

describe("Form.nest", () => {
  it("builds objects and arrays from bracketed names", () => {
    const tree = Form.nest({ "a[b][0]": "x", "a[b][1]": "y", "a[c]": "z", d: "w" })

    assert.deepStrictEqual(tree, { a: { b: ["x", "y"], c: "z" }, d: "w" })
  })

  it("takes empty brackets and repeated names for arrays", () => {
    assert.deepStrictEqual(Form.nest({ "a[]": "x", "b[]": ["x", "y"], c: ["x", "y"], "d[e][]": ["z"] }), {
      a: ["x"],
      b: ["x", "y"],
      c: ["x", "y"],
      d: { e: ["z"] }
    })
  })

  it("puts indices in order and closes gaps", () => {
    assert.deepStrictEqual(Form.nest({ "a[10]": "c", "a[2]": "b", "a[0]": "a" }), { a: ["a", "b", "c"] })
  })

  it("makes an object where not every name is an index", () => {
    assert.deepStrictEqual(Form.nest({ "a[0]": "x", "a[b]": "y" }), { a: { 0: "x", b: "y" } })
    assert.deepStrictEqual(Form.nest({ "a[-1]": "x" }), { a: { "-1": "x" } })
    assert.deepStrictEqual(Form.nest({ "a[1e2]": "x" }), { a: { "1e2": "x" } })
  })

  it("makes no array of a thousand and more, on both sides of the boundary", () => {
    assert.deepStrictEqual(Form.nest({ "a[999]": "x" }), { a: ["x"] })
    assert.deepStrictEqual(Form.nest({ "a[1000]": "x" }), { a: { 1000: "x" } })
    assert.deepStrictEqual(Form.nest({ "a[999999999999]": "x" }), { a: { 999999999999: "x" } })
  })

  it("takes a name with unbalanced brackets as it is", () => {
    for (const name of ["a[b", "a]b", "[a]", "a[b]c", "["])
      assert.deepStrictEqual(Form.nest({ [name]: "x" }), { [name]: "x" })
  })

  it("reads no more than a thousand fields, and sixteen levels", () => {
    const fields = Object.fromEntries(Array.from({ length: 1200 }, (_, index) => [`f${index}`, "x"]))
    const deep = `a${"[b]".repeat(30)}`
    let depth = 0
    for (
      let tree: unknown = Form.nest({ [deep]: "x" });
      typeof tree === "object" && tree !== null;
      tree = Object.values(tree)[0]
    )
      depth++

    assert.strictEqual(Object.keys(Form.nest(fields)).length, 1000)
    assert.strictEqual(depth, 17)
  })

  it("reaches no prototype", () => {
    const tree = Form.nest({
      "__proto__[polluted]": "x",
      "a[__proto__][polluted]": "x",
      "constructor[prototype][polluted]": "x"
    })

    assert.isUndefined(({} as { polluted?: string }).polluted)
    assert.deepStrictEqual(Object.keys(tree), ["__proto__", "a", "constructor"])
    assert.strictEqual(Object.getPrototypeOf(tree), Object.prototype)
  })

  it.prop(
    "never throws, whatever names and values a form has",
    [Schema.Record(Schema.String, Schema.Union([Schema.String, Schema.Array(Schema.String)]))],
    ([flat]) => void JSON.stringify(Form.nest(flat)),
    { arbitrary: { runs: 500, size: 20, seed: "any form" } }
  )

  const Piece = Schema.Literals(["a", "b", "0", "1", "[", "]", "[]", "][", "[0]", "[a]", "__proto__"])

  it.prop(
    "never throws on names that are almost bracketed",
    [Schema.Array(Schema.Tuple([Schema.Array(Piece), Schema.Literals(["x", "y"])]))],
    ([fields]) =>
      void JSON.stringify(Form.nest(Object.fromEntries(fields.map(([pieces, value]) => [pieces.join(""), value])))),
    { arbitrary: { runs: 2000, size: 12, seed: "almost bracketed" } }
  )
})

const Name = Schema.Literals([
  "a",
  "b",
  "first name",
  "e\u0301",
  "a.b",
  "-1",
  "1e2",
  "constructor",
  "toString",
  "__proto__",
  "&=+%"
])

type Branch = string | ReadonlyArray<Branch> | { readonly [name: string]: Branch }

/** Every tree without empty branches: those have no form. */
const Branch: Schema.Codec<Branch> = Schema.Union([
  Schema.String,
  Schema.NonEmptyArray(Schema.suspend(() => Branch)),
  Schema.Record(
    Schema.Literals(["a", "first name", "__proto__", "1e2"]),
    Schema.suspend(() => Branch)
  )
])

describe("Form.flatten and Form.nest", () => {
  it.prop(
    "give back the tree that they were given",
    [Schema.Array(Schema.Tuple([Name, Branch]))],
    ([fields]) => {
      const tree = Object.fromEntries(fields)

      assert.deepStrictEqual(Form.nest(Form.flatten(tree)), tree)
    },
    { arbitrary: { runs: 1000, size: 8, seed: "trees" } }
  )
})

/** Text that has a form on the wire: lone surrogates have none. */
const Text = Schema.String.check(Schema.makeFilter((text) => !/\p{Surrogate}/u.test(text)))

class Customer extends Schema.Class<Customer>("test/Customer")({ name: Text, age: Schema.optional(Schema.Int) }) {}

interface Thread {
  readonly by: Record<string, string>
  readonly weight: number
  readonly replies?: readonly [Thread, ...ReadonlyArray<Thread>] | undefined
}

interface ThreadText extends Thread {}

/** A schema that holds itself, with names that are numbers on the way. */
const Thread: Schema.Codec<Thread, ThreadText> = Schema.Struct({
  by: Schema.Record(Schema.Literals(["0", "1"]), Text),
  weight: Schema.Int,
  replies: Schema.optional(Schema.NonEmptyArray(Schema.suspend((): Schema.Codec<Thread, ThreadText> => Thread)))
})

const Payment = Schema.Struct({
  amount: Schema.Int,
  ratio: Schema.Finite,
  confirm: Schema.Boolean,
  currency: Schema.Literals(["eur", "usd"]),
  note: Schema.optional(Text),
  at: Schema.DateTimeUtcFromString,
  methods: Schema.NonEmptyArray(Text),
  lines: Schema.NonEmptyArray(
    Schema.Struct({ sku: Text, count: Schema.Int, tags: Schema.optional(Schema.NonEmptyArray(Text)) })
  ),
  customer: Customer,
  pair: Schema.Tuple([Text, Schema.Int]),
  threads: Schema.optional(Schema.NonEmptyArray(Schema.suspend((): Schema.Codec<Thread, ThreadText> => Thread))),
  metadata: Schema.optional(Schema.Record(Schema.Literals(["order", "0", "17", "e\u0301"]), Text))
})

describe("Form.bracketed", () => {
  const codec = Form.bracketed(Payment)

  it.effect("sends numbers and booleans as text, and leaves out what is absent", () =>
    Effect.gen(function* () {
      const Small = Form.bracketed(
        Schema.Struct({
          amount: Schema.Int,
          confirm: Schema.Boolean,
          note: Schema.optional(Schema.String),
          methods: Schema.Array(Schema.String)
        })
      )

      const flat = yield* Schema.encodeEffect(Small)({
        amount: 4200,
        confirm: true,
        note: undefined,
        methods: ["card", "sepa"]
      })
      const back = yield* Schema.decodeEffect(Small)({ amount: "4200", confirm: "true", "methods[]": ["card", "sepa"] })

      assert.deepStrictEqual(flat, { amount: "4200", confirm: "true", "methods[0]": "card", "methods[1]": "sepa" })
      assert.deepStrictEqual(back, { amount: 4200, confirm: true, methods: ["card", "sepa"] })
    })
  )

  it.effect(
    "takes a number in brackets for an index where the schema has a list, and for a name where it has names",
    () =>
      Effect.gen(function* () {
        const Numbered = Form.bracketed(
          Schema.Struct({ list: Schema.Array(Schema.String), names: Schema.Record(Schema.String, Schema.String) })
        )

        const back = yield* Schema.decodeEffect(Numbered)({
          "list[1]": "b",
          "list[0]": "a",
          "names[1]": "b",
          "names[0]": "a"
        })

        assert.deepStrictEqual(back, { list: ["a", "b"], names: { 0: "a", 1: "b" } })
      })
  )

  it.effect("tells names from indices at every depth, through lists, pairs, records, options and alternatives", () =>
    Effect.gen(function* () {
      const names = Schema.Record(Schema.String, Schema.String)
      const Deep = Form.bracketed(
        Schema.Struct({
          list: Schema.Array(names),
          pair: Schema.Tuple([Schema.String, names]),
          rest: Schema.TupleWithRest(Schema.Tuple([Schema.String]), [names]),
          record: Schema.Record(Schema.String, names),
          option: Schema.optional(Schema.Struct({ names })),
          either: Schema.Union([
            Schema.Struct({ kind: Schema.Literals(["a"]) }),
            Schema.Struct({ names, list: Schema.Array(Schema.String) })
          ])
        })
      )
      const value = {
        list: [{ 0: "x" }],
        pair: ["p", { 1: "x" }],
        rest: ["r", { 0: "x" }, { 0: "y" }],
        record: { 3: { 0: "x" } },
        option: { names: { 0: "x" } },
        either: { names: { 0: "x" }, list: ["l"] }
      } as const

      const flat = yield* Schema.encodeEffect(Deep)(value)

      assert.deepStrictEqual(yield* Schema.decodeEffect(Deep)(flat), value)
    })
  )

  it.effect("refuses text that does not fit the schema", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        Schema.decodeEffect(Form.bracketed(Schema.Struct({ amount: Schema.Int })))({ amount: "4.5" })
      )

      assert.isTrue(Schema.isSchemaError(error))
    })
  )

  it.effect.prop(
    "gives back, over the wire, the payload that was sent",
    [Payment],
    ([payment]) =>
      Effect.gen(function* () {
        const flat = yield* Schema.encodeEffect(codec)(payment)
        const wire = new URLSearchParams(Object.entries(flat).map(([name, value]) => [name, String(value)])).toString()
        const back = yield* Schema.decodeUnknownEffect(codec)(Object.fromEntries(new URLSearchParams(wire)))

        assert.strictEqual(JSON.stringify(back), JSON.stringify(payment))
        assert.deepStrictEqual(yield* Schema.encodeEffect(codec)(back), flat)
      }),
    { arbitrary: { runs: 300, size: 6, seed: "payments" } }
  )
})
