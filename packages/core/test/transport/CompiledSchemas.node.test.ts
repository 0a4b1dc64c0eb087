import { assert, describe, it } from "@effect/vitest"
import { Auth, Call, Client, Provider } from "@breakwater/core"
import * as Undici from "@breakwater/core/node/Undici"
import { Context, Effect, Layer, Logger, Redacted, Schema, type Scope } from "effect"
import { HttpApi, HttpApiEndpoint, HttpApiGroup } from "effect/http-api"
import * as Loopback from "../support/Loopback.ts"
import { outcome } from "../support/Scenario.ts"

const bounded = { timeout: 10_000 }

/** A declaration of its own each time, since a schema that is compiled stays so. */
const freshApi = () =>
  HttpApi.make("shop").add(
    HttpApiGroup.make("orders").add(
      HttpApiEndpoint.get("get", "/orders/:id", {
        params: { id: Schema.String },
        success: Schema.Struct({ id: Schema.String, lines: Schema.Array(Schema.Struct({ pieces: Schema.Int })) })
      })
    )
  )

const answers: Record<string, unknown> = {
  "/orders/good": { id: "good", lines: [{ pieces: 1 }, { pieces: 2 }] },
  "/orders/drift": { id: "drift", lines: [{ pieces: 1 }, { pieces: "two" }] }
}

/** Counts the code that is made of text while the effect runs; with `forbidden` none may be, as `--disallow-code-generation-from-strings` has it. */
const countingCode = <A, E, R>(effect: Effect.Effect<A, E, R>, forbidden = false) =>
  Effect.suspend(() => {
    const real = globalThis.Function
    let made = 0
    globalThis.Function = new Proxy(real, {
      apply: (_, __, source: Array<string>) => {
        if (forbidden) throw new EvalError("code generation from strings disallowed for this context")
        // The first is Effect's question whether it may.
        if (source.length > 1) made++
        return real(...source)
      }
    })
    return Effect.map(effect, (value) => [value, made > 0 ? "compiled" : "interpreted"] as const).pipe(
      Effect.ensuring(
        Effect.sync(() => {
          globalThis.Function = real
        })
      )
    )
  })

/** Reads an answer that fits its schema, and one that does not. */
const read = (options: Undici.UndiciOptions): Effect.Effect<ReadonlyArray<unknown>, unknown, Scope.Scope> =>
  Effect.gen(function* () {
    const server = yield* Loopback.http((request, response) => {
      response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(answers[request.url ?? ""]))
    })
    const origin = `http://127.0.0.1:${server.port}`
    const provider = Provider.make("shop", {
      api: freshApi(),
      auth: Auth.bearer(),
      environments: { sandbox: origin, production: origin }
    })
    class Shop extends Context.Service<Shop, Client.Of<typeof provider>>()("test/CompiledSchemas/Shop") {}
    const layer = Client.layer(Shop, provider, { credential: Redacted.make("key") }).pipe(
      Layer.provide(Undici.layer(options)),
      Layer.provide(Logger.layer([]))
    )
    const shop = Context.get(yield* Layer.build(layer), Shop)
    const good = yield* shop.orders.get({ params: { id: "good" } })
    const drift = yield* Effect.exit(Call.withCorrelationId(shop.orders.get({ params: { id: "drift" } }), "c"))
    return [good, outcome(drift)]
  })

describe("Undici.layer, its schemas", () => {
  it.live(
    "compiles what answers are read by, and reads the same as without",
    () =>
      Effect.gen(function* () {
        // First, since what a declaration has in common with others, such as `Schema.String`, is compiled for all of them.
        const [interpreted, how] = yield* countingCode(read({ compileSchemas: false }))
        const [compiled, howElse] = yield* countingCode(read({}))

        assert.deepStrictEqual([how, howElse], ["interpreted", "compiled"])
        assert.deepStrictEqual(compiled, interpreted)
        assert.deepStrictEqual(compiled[0], answers["/orders/good"])
      }),
    bounded
  )

  it.live(
    "interprets them where no code may be made of text",
    () =>
      Effect.gen(function* () {
        const [forbidden, how] = yield* countingCode(read({}), true)
        const [interpreted] = yield* countingCode(read({ compileSchemas: false }))

        assert.deepStrictEqual([how, forbidden], ["interpreted", interpreted])
      }),
    bounded
  )
})
