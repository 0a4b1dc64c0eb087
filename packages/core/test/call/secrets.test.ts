import { assert, describe, it } from "@effect/vitest"
import { Auth, Call, Health, Idempotency, ProviderError } from "@breakwater/core"
import { Cause, Console, Effect, Exit, Fiber, Logger, Redacted, References, Schema, Tracer } from "effect"
import { HttpClientRequest } from "effect/http"
import { TestClock } from "effect/testing"
import { inspect } from "node:util"
import * as Acme from "../support/Acme.ts"
import * as Fake from "../support/FakeTransport.ts"
import { answers, calls, found, planted, provider, told, transportError } from "../support/Planted.ts"
import { Recorder } from "../support/Recorder.ts"
import { inScenario, LogBook, toEnd } from "../support/Scenario.ts"

/** Everything that an operator, a log shipper or a tracing backend gets to see, as one text. */
class Surfaces {
  private readonly parts: Array<string> = []
  readonly recorder = new Recorder()

  add(...parts: ReadonlyArray<unknown>): void {
    for (const part of parts) this.parts.push(typeof part === "string" ? part : inspect(part, { depth: 20 }))
  }

  /** Writes an error down in every way that comes to mind. */
  addError(error: unknown): void {
    this.add(String(error), JSON.stringify(error), inspect(error, { depth: 20, showHidden: true }))
    if (error instanceof Error) this.add(error.message, error.stack ?? "", inspect(error.cause, { depth: 20 }))
    if (ProviderError.isProviderError(error)) {
      this.add(JSON.stringify(Schema.encodeSync(ProviderError.ProviderError)(error)))
      this.add(JSON.stringify(ProviderError.toProblem(error)))
    }
  }

  /** Loggers of each kind, whose output is kept. */
  readonly loggers = new Set<Logger.Logger<unknown, unknown>>([
    Logger.map(Logger.formatSimple, (line) => this.add(line)),
    Logger.map(Logger.formatLogFmt, (line) => this.add(line)),
    Logger.map(Logger.formatJson, (line) => this.add(line)),
    Logger.map(Logger.formatStructured, (line) => this.add(line)),
    Logger.consolePretty({ colors: false, mode: "tty" }),
    Logger.consolePretty({ colors: false, mode: "browser" }),
    Logger.tracerLogger
  ])

  private readonly console = new Proxy(console, {
    get:
      () =>
      (...parts: ReadonlyArray<unknown>) =>
        this.add(...parts)
  })

  readonly of = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    effect.pipe(
      Effect.provideService(References.CurrentLoggers, this.loggers),
      Effect.provideService(References.MinimumLogLevel, "All"),
      Effect.provideService(Console.Console, this.console),
      Effect.provideService(Tracer.Tracer, this.recorder.tracer)
    )

  get text(): string {
    for (const { attributes, events, exit, name, state } of this.recorder.spans) {
      this.add(name, state, JSON.stringify(attributes), JSON.stringify(events))
      if (exit !== undefined && Exit.isFailure(exit)) this.add(Cause.pretty(exit.cause), exit)
    }
    return this.parts.join("\n")
  }
}

const auths: ReadonlyArray<readonly [string, Auth.Auth]> = [
  ["a header", Auth.bearer()],
  ["the query", Auth.query("key")]
]

describe("planted secrets (AUTH-10, SAFE-12)", () => {
  for (const [place, auth] of auths) {
    it.effect.each(answers)(
      `with the key in ${place}, after %s, are found in no log, span, message or encoding`,
      ([, step]) => {
        const surfaces = new Surfaces()
        return inScenario(
          Effect.gen(function* () {
            const transport = Fake.make([step])
            const acme = yield* Acme.connectTo({ ...provider, auth }, transport, {
              credential: Redacted.make(planted.key),
              policy: { attempts: 2 }
            })
            for (const call of Object.values(calls)) {
              const { exit } = yield* toEnd(call(acme) as Effect.Effect<unknown, unknown>)
              if (Exit.isFailure(exit)) {
                const error = Cause.squash(exit.cause)
                surfaces.addError(error)
                surfaces.add(Cause.pretty(exit.cause), exit)
                yield* Effect.logError("failed", exit.cause)
              }
            }
            surfaces.add(JSON.stringify(yield* Health.snapshot))

            assert.isTrue(
              transport.sent.some(({ headers, url }) => `${url}${JSON.stringify(headers)}`.includes(planted.key))
            )
            assert.isTrue(transport.sent.some(({ body }) => body.includes(planted.body)))
            assert.isAtLeast(surfaces.recorder.spans.length, 8)
            assert.deepStrictEqual(found(surfaces.text), [])
            assert.isAbove(surfaces.text.length, 2000)
          }).pipe(surfaces.of)
        )
      }
    )
  }

  it.effect("in what a declared error asks for are the caller's, and are found nowhere beside it", () => {
    const surfaces = new Surfaces()
    return inScenario(
      Effect.gen(function* () {
        const declined = { _tag: "Declined", code: planted.declared, card: planted.declared }
        const acme = yield* Acme.connectTo(provider, Fake.make([Fake.json(declined, 402)]))
        const { exit } = yield* toEnd(Effect.flip(calls.capture(acme)))
        surfaces.add(JSON.stringify(yield* Health.snapshot))

        assert.deepStrictEqual(
          exit,
          Exit.succeed(new Acme.Declined({ code: planted.declared, card: planted.declared }))
        )
        assert.deepStrictEqual(found(surfaces.text), [])
      }).pipe(surfaces.of)
    )
  })

  it.effect("are found nowhere after a write was interrupted under way", () => {
    const surfaces = new Surfaces()
    return inScenario(
      Effect.gen(function* () {
        const acme = yield* Acme.connectTo(provider, Fake.make([Fake.silent]), {
          credential: Redacted.make(planted.key)
        })
        const fiber = yield* Effect.forkChild(calls.create(acme), { startImmediately: true })
        yield* TestClock.adjust("1 second")
        yield* Fiber.interrupt(fiber)

        const { text } = surfaces
        assert.isTrue(text.includes("abandoned"))
        assert.deepStrictEqual(found(text), [])
      }).pipe(surfaces.of)
    )
  })

  it.effect("are found nowhere after what is refused before it is sent", () => {
    const surfaces = new Surfaces()
    return inScenario(
      Effect.gen(function* () {
        const acme = yield* Acme.connectTo(provider, Fake.make([]), { credential: Redacted.make(planted.key) })
        const refused: ReadonlyArray<Effect.Effect<unknown, unknown>> = [
          acme.orders.get({ params: { id: `a/../${planted.path}` } }),
          acme.orders.find({ query: { q: `${planted.query}\r\n` }, headers: {} }),
          acme.orders.find({ query: { q: "a" }, headers: { "x-note": `${planted.header}\r\n` } }),
          acme.orders.create({ payload: { amount: planted.body as never } }).pipe(Idempotency.withKey("k")),
          acme.orders.create({ payload: { amount: 1 } }).pipe(Idempotency.withKey(`${planted.field}\n`)),
          acme.orders.get({ params: { id: "o1" } }).pipe(Call.withCorrelationId(`${planted.field}\n`))
        ]
        for (const each of refused) {
          const { exit } = yield* toEnd(Effect.flip(each))
          assert.isTrue(Exit.isSuccess(exit))
          if (Exit.isSuccess(exit)) surfaces.addError(exit.value)
        }

        assert.deepStrictEqual(found(surfaces.text), [])
      }).pipe(surfaces.of)
    )
  })

  it.effect("of a plain client are not in our error, nor in the message of the one around it", () => {
    const surfaces = new Surfaces()
    return inScenario(
      Effect.gen(function* () {
        const client = yield* Call.client(Fake.make([transportError]).client, {
          provider: "plain",
          policy: { attempts: 1 },
          redaction: { secrets: () => [Redacted.make(planted.key)] }
        })
        const request = HttpClientRequest.post("https://plain.test/things").pipe(
          HttpClientRequest.setUrlParam("q", planted.query),
          HttpClientRequest.setHeader("authorization", `Bearer ${planted.key}`),
          HttpClientRequest.bodyText(planted.body)
        )
        const { exit } = yield* toEnd(Effect.flip(client.execute(request)))
        if (Exit.isFailure(exit)) return yield* Effect.die(exit.cause)
        surfaces.addError(exit.value.cause)
        surfaces.add(exit.value.message, String(exit.value), JSON.stringify(exit.value))
        yield* Effect.logError("failed", Cause.fail(exit.value))

        assert.deepStrictEqual(found(surfaces.text), [])
      }).pipe(surfaces.of)
    )
  })

  it.effect("of a protected effect are not in the error that ends it", () => {
    const surfaces = new Surfaces()
    return inScenario(
      Effect.gen(function* () {
        const connected = yield* Call.connect({
          provider: "sdk",
          redaction: { secrets: () => [Redacted.make(planted.key)] }
        })
        const failing = Effect.fail(Fake.systemError("EPIPE", `Bearer ${planted.key}: password=${planted.password}`))
        const protectedCall = Call.protect(failing, {
          provider: connected,
          operation: "send",
          safety: "safe",
          classify: () => ({ sent: "unknown" })
        })
        const { exit } = yield* toEnd(Effect.flip(protectedCall))
        if (Exit.isSuccess(exit)) surfaces.addError(exit.value)
        surfaces.add(JSON.stringify(yield* Health.snapshot))

        assert.isTrue(Exit.isSuccess(exit))
        assert.deepStrictEqual(found(surfaces.text), [])
      }).pipe(surfaces.of)
    )
  })

  it("would be found: the search itself works", () => {
    const surfaces = new Surfaces()
    surfaces.addError(new Error(`Bearer ${planted.key}`))

    assert.deepStrictEqual(found(surfaces.text), [planted.key])
  })

  it.effect("are not what an idempotency key is: it may be shown, and is shown nowhere all the same", () => {
    const book = new LogBook()
    return inScenario(
      Effect.gen(function* () {
        const acme = yield* Acme.connect(Fake.make([Fake.empty(503)]))
        yield* toEnd(acme.orders.create({ payload: { amount: 1 } }).pipe(Idempotency.withKey("order/1/charge")))

        assert.isFalse(JSON.stringify(book.lines).includes("order/1/charge"))
      }),
      book
    )
  })
})

describe("what is kept of an answer (SAFE-12)", () => {
  const excerptOf = Effect.fnUntraced(function* (step: Fake.Step) {
    const acme = yield* Acme.connectTo(provider, Fake.make([step]), { credential: Redacted.make(planted.key) })
    const { exit } = yield* toEnd(Effect.flip(acme.orders.get({ params: { id: "o1" } })))
    return Exit.isSuccess(exit) ? exit.value : undefined
  })

  it.effect("is its id, and a sanitised excerpt of at most 2 KiB", () =>
    inScenario(
      Effect.gen(function* () {
        const error = yield* excerptOf(
          Fake.json({ ...told, long: "x".repeat(5000) }, 400, { "acme-request-id": "req_7" })
        )

        assert.strictEqual(error?.requestId, "req_7")
        assert.isAtMost(error?.excerpt?.length ?? 0, 2048)
        assert.isAtLeast(error?.excerpt?.length ?? 0, 1900)
        assert.deepStrictEqual(found(error?.excerpt ?? ""), [])
        assert.isTrue(error?.excerpt?.startsWith('{"error":{"code":"odd","message":"no such key: <redacted>"'))
      })
    )
  )

  it.effect("is nothing where there was no body", () =>
    inScenario(
      Effect.gen(function* () {
        const error = yield* excerptOf(Fake.empty(400))

        assert.deepStrictEqual([error?.excerpt, error?.requestId], [undefined, undefined])
      })
    )
  )

  it.effect("of a transport failure is a stand-in as cause, which holds on to nothing", () =>
    inScenario(
      Effect.gen(function* () {
        const error = yield* excerptOf(transportError)
        const cause = error?.cause

        assert(cause instanceof Error)
        assert.strictEqual(cause.cause, undefined)
        assert.deepStrictEqual(found(inspect(cause, { depth: 20, showHidden: true })), [])
      })
    )
  )
})
