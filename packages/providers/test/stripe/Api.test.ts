import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { HttpServer } from "effect/http"
import { HttpApi, HttpApiBuilder, HttpApiEndpoint, HttpApiGroup, HttpApiTest } from "effect/http-api"
import * as Form from "@breakwater/core/Form"
import {
  CancelPaymentIntent,
  ConfirmPaymentIntent,
  CreatePaymentIntent,
  CreateRefund,
  NewMetadata
} from "@breakwater/providers/stripe"

/** An endpoint that answers with what it understood: a form on the way in, JSON on the way out. */
const api = HttpApi.make("echo").add(
  HttpApiGroup.make("echo").add(
    HttpApiEndpoint.post("create", "/create", {
      payload: CreatePaymentIntent.pipe(Form.bracketed),
      success: CreatePaymentIntent
    }),
    HttpApiEndpoint.post("confirm", "/confirm", {
      payload: ConfirmPaymentIntent.pipe(Form.bracketed),
      success: ConfirmPaymentIntent
    }),
    HttpApiEndpoint.post("cancel", "/cancel", {
      payload: CancelPaymentIntent.pipe(Form.bracketed),
      success: CancelPaymentIntent
    }),
    HttpApiEndpoint.post("refund", "/refund", { payload: CreateRefund.pipe(Form.bracketed), success: CreateRefund })
  )
)

const handlers = HttpApiBuilder.group(api, "echo", (handlers) =>
  handlers
    .handle("create", ({ payload }) => Effect.succeed(payload))
    .handle("confirm", ({ payload }) => Effect.succeed(payload))
    .handle("cancel", ({ payload }) => Effect.succeed(payload))
    .handle("refund", ({ payload }) => Effect.succeed(payload))
)

const client = Effect.provide(HttpApiTest.groups(api, ["echo"]), Layer.merge(handlers, HttpServer.layerServices))

/** A refund that names what it gives back, as the check of `CreateRefund` wants it. */
const Refund = Schema.Struct({
  ...CreateRefund.fields,
  charge: Schema.String,
  metadata: Schema.optional(Schema.Struct({ order: Schema.String.check(Schema.isPattern(/^\P{Surrogate}*$/u)) }))
})

/** UTF-8 has no half of a surrogate pair. */
const wellFormed = (text: string): string => new TextDecoder().decode(new TextEncoder().encode(text))

/** A form has no way to say that a list or a record is empty, or that a field is there without a value. */
const sayable = <A>(value: A): A => {
  if (typeof value === "string") return wellFormed(value) as A
  if (Array.isArray(value)) return value.map(sayable) as A
  if (typeof value !== "object" || value === null) return value
  const fields = Object.entries(value)
    .map(([name, field]) => [wellFormed(name), sayable(field) as unknown] as const)
    .filter(
      ([, field]) =>
        field !== undefined && !(typeof field === "object" && field !== null && Object.keys(field).length === 0)
    )
  return Object.fromEntries(fields) as A
}

describe("the forms of the declaration", () => {
  it.effect.prop("arrive as they were sent: payment intents", [CreatePaymentIntent], ([payload]) =>
    Effect.gen(function* () {
      const { echo } = yield* client

      assert.deepStrictEqual(sayable(yield* echo.create({ payload })), sayable(payload))
    })
  )

  it.effect.prop(
    "arrive as they were sent: the other writes",
    [ConfirmPaymentIntent, CancelPaymentIntent, Refund],
    ([confirm, cancel, refund]) =>
      Effect.gen(function* () {
        const { echo } = yield* client

        assert.deepStrictEqual(sayable(yield* echo.confirm({ payload: confirm })), sayable(confirm))
        assert.deepStrictEqual(sayable(yield* echo.cancel({ payload: cancel })), sayable(cancel))
        assert.deepStrictEqual(sayable(yield* echo.refund({ payload: refund })), sayable(refund))
      })
  )

  it.effect("arrive as they were sent: metadata whose names are numbers", () =>
    Effect.gen(function* () {
      const { echo } = yield* client
      const payload = { amount: 1, currency: "eur", metadata: { "0": "zero", "1": "one" } }

      assert.deepStrictEqual(yield* echo.create({ payload }), payload)
    })
  )

  it("say numbers, truths and lists as Stripe reads them", () => {
    const encode = Schema.encodeSync(CreatePaymentIntent.pipe(Form.bracketed))

    assert.deepStrictEqual(
      encode({
        amount: 4200,
        currency: "eur",
        confirm: true,
        allowed_payment_method_types: ["card", "link"],
        automatic_payment_methods: { enabled: false },
        metadata: { order: "7", "über uns": "ä&b=c" },
        customer: undefined
      }),
      {
        amount: "4200",
        currency: "eur",
        confirm: "true",
        "allowed_payment_method_types[0]": "card",
        "allowed_payment_method_types[1]": "link",
        "automatic_payment_methods[enabled]": "false",
        "metadata[order]": "7",
        "metadata[über uns]": "ä&b=c"
      }
    )
  })
})

describe("NewMetadata", () => {
  const accepts = Schema.is(NewMetadata)
  const named = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, n) => [`name${n}`, ""]))

  it("keeps Stripe's limits, on both sides of each", () => {
    assert.deepStrictEqual(
      ["a", "a".repeat(40), "", "a".repeat(41), "a[b", "a]b"].map((name) => accepts({ [name]: "x" })),
      [true, true, false, false, false, false]
    )
    assert.deepStrictEqual(
      [500, 501].map((length) => accepts({ a: "x".repeat(length) })),
      [true, false]
    )
    assert.deepStrictEqual(
      [50, 51].map((count) => accepts(named(count))),
      [true, false]
    )
  })
})
