import { Cause, Context, Effect, Exit, FileSystem, Layer, Redacted, Schema } from "effect"
import { NodeFileSystem } from "@effect/platform-node"
import { FetchHttpClient, HttpClient, HttpClientRequest } from "effect/http"
import { HttpApi, HttpApiEndpoint, HttpApiGroup } from "effect/http-api"
import { assert, describe, it } from "@effect/vitest"
import { Cassette, Exchange, Ledger, SimulatedNetwork } from "@breakwater/testkit"
import type { SimulatedProvider } from "@breakwater/testkit"
import * as Serve from "@breakwater/testkit/node/Serve"
import * as Wallet from "./support/Wallet.ts"
import manifest from "../package.json" with { type: "json" }

const origin = "https://api.acme.test"

/** A provider that answers as it is told. */
const acme = (answer: (request: Exchange.Received) => Exchange.Answer) => {
  const provider: SimulatedProvider.SimulatedProvider = {
    name: "acme",
    origins: [origin],
    ledger: new Ledger(),
    identify: () => ({ operation: "any", key: undefined }),
    handle: (request) => Effect.sync(() => answer(request)),
    edge: (status) => Exchange.json(status, {})
  }
  return SimulatedNetwork.layer([provider])
}

const echo = acme((request) => Exchange.json(200, { path: request.target, said: Exchange.text(request) }))

const inTemporary = <A, E>(use: (file: string) => Effect.Effect<A, E, FileSystem.FileSystem>) =>
  Effect.scoped(
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      return yield* use(`${yield* fs.makeTempDirectoryScoped()}/acme.json`)
    })
  ).pipe(Effect.provide(NodeFileSystem.layer))

const get = (path: string) =>
  Effect.flatMap(HttpClient.HttpClient, (client) =>
    Effect.flatMap(client.get(`${origin}${path}`), (response) => response.text)
  )

const post = (path: string, body: unknown) =>
  Effect.flatMap(HttpClient.HttpClient, (client) =>
    Effect.flatMap(
      client.execute(HttpClientRequest.post(`${origin}${path}`).pipe(HttpClientRequest.bodyJsonUnsafe(body))),
      (response) => response.json
    )
  )

const recording = <A, E>(
  file: string,
  program: Effect.Effect<A, E, HttpClient.HttpClient>,
  options?: Partial<Cassette.RecordOptions>,
  network = echo
) => Effect.provide(program, Layer.provide(Cassette.layer({ ...options, file, mode: "record" }), network))

const replaying = <A, E>(
  file: string,
  program: Effect.Effect<A, E, HttpClient.HttpClient>,
  options?: Partial<Cassette.ReplayOptions>
) => Effect.exit(Effect.provide(program, Cassette.layerReplay({ ...options, file })))

const failureOf = (exit: Exit.Exit<unknown, unknown>): string =>
  Exit.isFailure(exit)
    ? Cause.prettyErrors(exit.cause)
        .map(({ message }) => message)
        .join("\n")
    : "succeeded"

const raw = (file: string) => Effect.flatMap(FileSystem.FileSystem, (fs) => fs.readFileString(file))

describe("Cassette.layer", () => {
  it.effect("records and plays back the same answers", () =>
    inTemporary((file) =>
      Effect.gen(function* () {
        const program = Effect.all([get("/a?x=1&x=2"), post("/b", { amount: 5 })])
        const live = yield* recording(file, program)
        const replayed = yield* replaying(file, program)

        assert.deepStrictEqual(replayed, Exit.succeed(live))
      })
    )
  )

  it.effect("records if the file is not there and replays if it is", () =>
    inTemporary((file) =>
      Effect.gen(function* () {
        let asked = 0
        const counting = acme(() => Exchange.json(200, { asked: ++asked }))
        const run = () => Effect.provide(get("/a"), Layer.provide(Cassette.layer({ file }), counting))
        const answers = [yield* run(), yield* run()]

        assert.deepStrictEqual(answers, ['{"asked":1}', '{"asked":1}'])
        assert.strictEqual(asked, 1)
      })
    )
  )

  it.effect("keeps text as text and binary as Base64, and the bytes as they were", () =>
    inTemporary((file) =>
      Effect.gen(function* () {
        const bytes = Uint8Array.from({ length: 256 }, (_, index) => index)
        const big = '{"id":12345678901234567890}'
        const network = acme((request) => {
          const [type, body] =
            request.target === "/csv"
              ? (["text/csv", new TextEncoder().encode("a,b\r\n1,2\r\n")] as const)
              : request.target === "/big"
                ? (["application/json", new TextEncoder().encode(big)] as const)
                : (["image/png", bytes] as const)
          return { status: 200, headers: { "content-type": type }, body, executed: true }
        })
        const program = Effect.gen(function* () {
          const client = yield* HttpClient.HttpClient
          const image = yield* (yield* client.get(`${origin}/image`)).arrayBuffer
          return [yield* get("/csv"), yield* get("/big"), [...new Uint8Array(image)]]
        })
        yield* recording(file, program, {}, network)
        const replayed = yield* replaying(file, program, { match: "lenient" })
        const { interactions } = yield* Cassette.read(file)

        assert.deepStrictEqual(replayed, Exit.succeed(["a,b\r\n1,2\r\n", big, [...bytes]]))
        assert.deepStrictEqual(
          interactions.map(({ response }) => Object.keys(response.body ?? {})),
          [["base64"], ["text"], ["text"]]
        )
      })
    )
  )

  it.live("records what comes over a real port", () =>
    inTemporary((file) =>
      Effect.scoped(
        Effect.gen(function* () {
          const provider = yield* Wallet.make()
          const { url } = yield* Serve.make(provider)
          const program = Effect.gen(function* () {
            const client = yield* HttpClient.HttpClient
            const request = HttpClientRequest.post(`${url}/deposits`).pipe(
              HttpClientRequest.bodyJsonUnsafe({ amount: 5 }),
              HttpClientRequest.bearerToken("livePlanted9k")
            )
            const answer = yield* client.execute(request)
            return [answer.status, answer.headers["content-type"], yield* answer.json]
          })
          const live = yield* recording(file, program, {}, FetchHttpClient.layer)
          const replayed = yield* replaying(file, program)

          assert.deepStrictEqual(live, [200, "application/json", { id: "d1", amount: 5 }])
          assert.deepStrictEqual(replayed, Exit.succeed(live))
          assert.notInclude(yield* raw(file), "livePlanted9k")
          yield* Cassette.check(yield* Cassette.read(file), Wallet.api)
        })
      )
    )
  )

  it.effect("says where a cassette comes from", () =>
    inTemporary((file) =>
      Effect.gen(function* () {
        yield* recording(file, get("/a"), { provenance: { provider: "acme", apiVersion: "2026-01-01" } })
        const { provenance } = yield* Cassette.read(file)

        assert.deepStrictEqual(provenance, {
          recordedAt: "1970-01-01T00:00:00.000Z",
          recordedBy: `@breakwater/testkit ${manifest.version}`,
          baseUrl: origin,
          provider: "acme",
          apiVersion: "2026-01-01"
        })
      })
    )
  )

  it.effect("writes nothing when the program fails", () =>
    inTemporary((file) =>
      Effect.gen(function* () {
        yield* Effect.exit(recording(file, Effect.andThen(get("/a"), Effect.fail("no"))))
        const fs = yield* FileSystem.FileSystem

        assert.isFalse(yield* fs.exists(file))
      })
    )
  )
})

const secrets = {
  given: "q7Zt+plant/ed=given",
  bearer: "tok3nPlantedBearer",
  password: "p4ssPlantedBasic",
  query: "queryPlanted8x",
  field: "fieldPlanted9y",
  made: "madePlantedByThem",
  cookie: "cookiePlanted1z"
}

describe("Cassette redaction", () => {
  it.effect("lets no planted secret reach the disk, however it is spelled", () =>
    inTemporary((file) =>
      Effect.gen(function* () {
        const { given } = secrets
        const leaky = acme((request) => ({
          ...Exchange.json(200, {
            access_token: secrets.made,
            echo: Object.values(request.headers).join(" "),
            url: request.target,
            body: Exchange.text(request),
            plain: `x ${given} y`,
            percent: encodeURIComponent(given),
            twice: encodeURIComponent(encodeURIComponent(given)),
            base64: btoa(`user:${given}`),
            shifted: btoa(`u:${given}!`),
            [given]: 1,
            card: "4242 4242 4242 4242",
            mail: "someone@example.test",
            lines: `first\n${secrets.bearer}\nlast`
          }),
          headers: {
            "content-type": "application/json",
            "set-cookie": `sid=${secrets.cookie}; Path=/`,
            "x-request-id": `r-${secrets.made}`
          }
        }))
        const binary = acme(() => ({
          status: 200,
          headers: { "content-type": "application/octet-stream" },
          body: new Uint8Array([0, 255, ...new TextEncoder().encode(given), 7]),
          executed: true
        }))
        const request = HttpClientRequest.post(`${origin}/v1/${encodeURIComponent(given)}`).pipe(
          HttpClientRequest.setUrlParam("key", secrets.query),
          HttpClientRequest.setUrlParam("plain", Redacted.make("wrappedPlanted2w")),
          HttpClientRequest.setHeader("x-api-key", secrets.bearer),
          HttpClientRequest.basicAuth("user", secrets.password),
          HttpClientRequest.setHeader("x-note", `basic ${btoa(`user:${secrets.password}`)}`),
          HttpClientRequest.bodyJsonUnsafe({
            client_secret: secrets.field,
            note: `${secrets.field} ${secrets.query} wrappedPlanted2w`,
            customer: { name: "Ada Planted" }
          })
        )
        const form = HttpClientRequest.post(`${origin}/form`).pipe(
          HttpClientRequest.bodyUrlParams({ token: "formPlanted3v", given, amount: "5" })
        )
        const send = (each: HttpClientRequest.HttpClientRequest) =>
          Effect.flatMap(HttpClient.HttpClient, (client) => client.execute(each))
        const redaction = { secrets: () => [Redacted.make(given)], paths: ["customer.name"] }
        yield* recording(file, Effect.all([send(request), send(form)]), { redaction }, leaky)
        const first = yield* raw(file)
        yield* recording(file, send(form), { redaction, overwrite: true }, binary)
        const text = `${first}${yield* raw(file)}`
        const { interactions } = yield* Cassette.read(file)
        const [body] = interactions.map(({ response }) => response.body)
        const kept = body !== undefined && "base64" in body ? atob(body.base64) : ""

        const planted = [
          ...Object.values(secrets),
          "wrappedPlanted2w",
          "formPlanted3v",
          "Ada Planted",
          "4242 4242",
          "someone@"
        ]
        for (const secret of planted) {
          assert.notInclude(text, secret)
          assert.notInclude(text, encodeURIComponent(secret))
        }
        assert.notInclude(text, btoa(`user:${given}`).slice(8, -6))
        assert.notInclude(text, btoa(`u:${given}!`).slice(4, -6))
        assert.notInclude(text, btoa(`user:${secrets.password}`).slice(8, -6))
        assert.notInclude(kept, given)
        assert.include(text, "amount=5")
        assert.include(first, String.raw`first\n<redacted>\nlast`)
      })
    )
  )

  it.effect("knows what a service of the run holds as Redacted", () =>
    inTemporary((file) =>
      Effect.gen(function* () {
        class Config extends Context.Service<Config, { readonly acme: { readonly pin: Redacted.Redacted<string> } }>()(
          "Config"
        ) {}
        const config = { acme: { pin: Redacted.make("heldPlanted4u") } }
        yield* Effect.provideService(recording(file, get("/a/heldPlanted4u")), Config, config)

        assert.notInclude(yield* raw(file), "heldPlanted4u")
      })
    )
  )

  it.effect("finds secrets behind escapes of JSON that stays text, and in forms in parts", () =>
    inTemporary((file) =>
      Effect.gen(function* () {
        const escaped = String.raw`{"id":12345678901234567890,"echo":"planted\/5\u00f6x"}`
        const network = acme(() => ({
          status: 200,
          headers: { "content-type": "application/json" },
          body: new TextEncoder().encode(escaped),
          executed: true
        }))
        const form = new FormData()
        form.set("password", "partPlanted6t")
        form.set("amount", "17")
        const send = Effect.flatMap(HttpClient.HttpClient, (client) =>
          client.execute(HttpClientRequest.post(`${origin}/form`).pipe(HttpClientRequest.bodyFormData(form)))
        )
        const redaction = { secrets: () => [Redacted.make("planted/5öx")] }
        yield* recording(file, send, { redaction }, network)
        const text = yield* raw(file)

        for (const secret of ["5\\\\u00f6x", "planted/5", "partPlanted6t"]) assert.notInclude(text, secret)
        assert.include(text, "17")
        assert.include(text, "12345678901234567890")
      })
    )
  )

  it.effect("keeps the shape of what it takes out, and replays without the secrets", () =>
    inTemporary((file) =>
      Effect.gen(function* () {
        const network = acme(() => Exchange.json(200, { token: "sometoken", password: 12, phone: null, page: 3 }))
        const ask = (key: string) => get(`/list?api_key=${key}&page=3`)
        yield* recording(file, ask("secret-of-then"), {}, network)
        const replayed = yield* replaying(file, ask("another-now"))

        assert.deepStrictEqual(replayed, Exit.succeed('{"token":"<redacted>","password":0,"phone":null,"page":3}'))
      })
    )
  )
})

describe("Cassette.replay", () => {
  const program = Effect.all([get("/a"), post("/b", { amount: 1, currency: "eur" })])

  it.effect("shows the next recorded request for one that is not there", () =>
    inTemporary((file) =>
      Effect.gen(function* () {
        yield* recording(file, program)
        const changed = yield* replaying(file, Effect.andThen(get("/a"), post("/b", { amount: 2, currency: "eur" })))

        assert.strictEqual(
          failureOf(changed),
          [
            `cassette ${file}: request 2 is not recorded here: POST /b`,
            "the next one recorded is",
            "#1 POST /b",
            "  body.amount: recorded 1, sent 2"
          ].join("\n")
        )
      })
    )
  )

  it.effect("wants the same order when it is strict, and not when it is lenient", () =>
    inTemporary((file) =>
      Effect.gen(function* () {
        yield* recording(file, program)
        const turned = Effect.andThen(post("/b", { amount: 1, currency: "eur" }), get("/a"))
        const strict = yield* replaying(file, turned)
        const lenient = yield* replaying(file, turned, { match: "lenient" })

        assert.include(
          failureOf(strict),
          ['  method: recorded "GET", sent "POST"', '  path: recorded "/a", sent "/b"'].join("\n")
        )
        assert.include(failureOf(strict), "the nearest one left is\n#1 POST /b")
        assert.isTrue(Exit.isSuccess(lenient))
      })
    )
  )

  it.effect("shows the nearest recorded request when it is lenient", () =>
    inTemporary((file) =>
      Effect.gen(function* () {
        yield* recording(file, program)
        const exit = yield* replaying(file, post("/b", { amount: 1, currency: "usd" }), { match: "lenient" })

        assert.include(failureOf(exit), "the nearest one left is\n#1 POST /b")
        assert.include(failureOf(exit), 'body.currency: recorded "eur", sent "usd"')
      })
    )
  )

  it.effect("gives each answer once", () =>
    inTemporary((file) =>
      Effect.gen(function* () {
        yield* recording(file, get("/a"))
        const exit = yield* replaying(file, Effect.andThen(get("/a"), get("/a")), { match: "lenient" })

        assert.include(failureOf(exit), "all 1 recorded requests were made already")
      })
    )
  )

  it.effect("wants all of them when it is strict", () =>
    inTemporary((file) =>
      Effect.gen(function* () {
        yield* recording(file, program)
        const exit = yield* replaying(file, get("/a"))

        assert.include(failureOf(exit), "1 recorded requests were not made, the next one is POST /b")
      })
    )
  )
})

const problemWith = (text: string | undefined) =>
  inTemporary((file) =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      if (text !== undefined) yield* fs.writeFileString(file, text)
      const error = yield* Effect.flip(Cassette.read(file, { maxBytes: 0 }))
      return error.problem
    })
  )

describe("Cassette.read", () => {
  it.effect("tells what is wrong with a file", () =>
    Effect.gen(function* () {
      const head = { format: "breakwater-cassette", version: 1 }

      assert.strictEqual(yield* problemWith(undefined), "not found")
      assert.strictEqual(yield* problemWith("{"), "not a cassette")
      assert.strictEqual(yield* problemWith('{"log":{"entries":[]}}'), "not a cassette")
      assert.strictEqual(yield* problemWith(JSON.stringify({ ...head, interactions: [1] })), "not a cassette")
      assert.strictEqual(yield* problemWith(JSON.stringify({ ...head, version: 2 })), "newer format")
      assert.strictEqual(yield* problemWith(" ".repeat(1024 * 1024 + 1)), "too large")
    })
  )
})

describe("Cassette.record", () => {
  it.effect("does not write over a cassette unless it may", () =>
    inTemporary((file) =>
      Effect.gen(function* () {
        yield* recording(file, get("/a"))
        const refused = yield* Effect.exit(recording(file, get("/b")))
        yield* recording(file, get("/c"), { overwrite: true })
        const { interactions } = yield* Cassette.read(file)

        assert.strictEqual(failureOf(refused), `cassette ${file}: exists, delete it, or set overwrite`)
        assert.deepStrictEqual(
          interactions.map(({ request }) => request.path),
          ["/c"]
        )
      })
    )
  )

  it.effect("stops at its size", () =>
    inTemporary((file) =>
      Effect.gen(function* () {
        const exit = yield* Effect.exit(recording(file, get("/a"), { maxBytes: 10 }))

        assert.include(failureOf(exit), "too large, the bodies are larger than maxBytes")
      })
    )
  )
})

const Customer = Schema.Struct({
  id: Schema.String.check(Schema.isPattern(/^c\d+$/u)),
  name: Schema.String,
  age: Schema.Int
})
const api = HttpApi.make("acme").add(
  HttpApiGroup.make("customers").add(
    HttpApiEndpoint.get("get", "/customers/:id", { params: { id: Schema.String }, success: Customer })
  )
)

describe("Cassette.check", () => {
  const checking = (answer: Exchange.Answer, path = "/v1/customers/c1") =>
    inTemporary((file) =>
      Effect.gen(function* () {
        yield* recording(
          file,
          get(path),
          {},
          acme(() => answer)
        )
        const exit = yield* Effect.exit(Cassette.check(yield* Cassette.read(file), api))
        return failureOf(exit)
      })
    )

  it.effect("takes answers that the declaration reads", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* checking(Exchange.json(200, { id: "c1", name: "Ada", age: 36 })), "succeeded")
    })
  )

  it.effect("passes over what was redacted", () =>
    Effect.gen(function* () {
      const masked = Exchange.json(200, { id: "sk_live_12345678", name: "Ada", age: 36 })

      assert.strictEqual(yield* checking(masked), "succeeded")
    })
  )

  it.effect("tells each place that drifted, and what was expected", () =>
    Effect.gen(function* () {
      const message = yield* checking(Exchange.json(200, { id: "c1", age: "36" }))

      assert.strictEqual(
        message,
        [
          "recorded answers drifted",
          "interaction 0, customers.get 200 at name: expected a value",
          "interaction 0, customers.get 200 at age: expected number"
        ].join("\n")
      )
    })
  )

  it.effect("tells of a status and a path that are not declared", () =>
    Effect.gen(function* () {
      assert.include(yield* checking(Exchange.json(418, {})), "expected one of the declared statuses 200")
      assert.include(
        yield* checking(Exchange.json(200, {}), "/orders"),
        "unknown 200: expected an endpoint for GET /orders"
      )
    })
  )
})
