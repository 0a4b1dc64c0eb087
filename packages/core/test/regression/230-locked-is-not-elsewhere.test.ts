/** A charge that another caller was making just then said `sent: "no"`: a fallback for writes charged at the second provider as well, and a batch sent the items under another key. */
import { assert, describe, it } from "@effect/vitest"
import { Auth, Client, Fallback, Idempotency, IdempotencyStore, Provider, Safety } from "@breakwater/core"
import { Context, Effect, Layer, Redacted, Schema } from "effect"
import { HttpClient } from "effect/http"
import { HttpApi, HttpApiEndpoint, HttpApiGroup } from "effect/http-api"

const payload = Schema.Struct({ cents: Schema.Int })
const bank = Provider.make("bank", {
  api: HttpApi.make("bank").add(
    HttpApiGroup.make("charges").add(
      HttpApiEndpoint.post("create", "/charges", { payload, success: payload }).pipe(
        Safety.keyed({ header: "Idempotency-Key", window: "24 hours" })
      )
    )
  ),
  environments: { sandbox: "https://sandbox.bank.test", production: "https://api.bank.test" },
  auth: Auth.bearer()
})
class Bank extends Context.Service<Bank, Client.Of<typeof bank>>()("test/Bank") {}

const silent = Layer.succeed(
  HttpClient.HttpClient,
  HttpClient.make(() => Effect.never)
)
const layer = Layer.merge(
  Client.layer(Bank, bank, { credential: Redacted.make("key-of-a-test") }).pipe(Layer.provide(silent)),
  IdempotencyStore.IdempotencyStore.layerMemory()
)

const charge = Effect.flatMap(Bank, ({ charges }) => charges.create({ payload: { cents: 42 } })).pipe(
  Idempotency.withKey("order/1")
)

describe("a charge that another caller is making", () => {
  it.effect("is not made elsewhere, since it may have been sent", () =>
    Effect.gen(function* () {
      let elsewhere = 0
      yield* Effect.forkChild(charge, { startImmediately: true })
      yield* Effect.yieldNow
      const other = Effect.sync(() => ++elsewhere)
      const error = yield* Effect.flip(charge.pipe(Fallback.to(other, { name: "payments" })))

      assert.deepStrictEqual(
        [error._tag === "RetryableError" && [error.reason._tag, error.sent, error.retryUntil], elsewhere],
        [["Locked", "unknown", undefined], 0]
      )
    }).pipe(Effect.provide(layer))
  )
})
