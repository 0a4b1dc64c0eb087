import { assert, describe, it } from "@effect/vitest"
import type { ProviderError } from "@breakwater/core"
import { Answer, Fallback, Telemetry } from "@breakwater/core"
import { ConfigProvider, Config, Context, Duration, Effect, Metric } from "effect"
import { TestClock } from "effect/testing"
import { inDoubt, notSent, outcomeUnknown, refused } from "../support/Errors.ts"
import { inScenario, LogBook } from "../support/Scenario.ts"

/** The card said no: declared. */
class Declined extends Error {
  readonly _tag = "Declined"
}

type Failure = ProviderError.RetryableError | ProviderError.FatalError | Declined

/** A read that fails so. */
const failing = (error: Failure): Effect.Effect<string, Failure> => Effect.fail(error)

/** A write that fails so. */
const writing = (error: Failure | ProviderError.OutcomeUnknown) =>
  Effect.fail(error) as Effect.Effect<string, typeof error>

/** What came, as whoever captures it sees it. */
const seen = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.map(Answer.capture(effect), ({ age, degradedBy, operation, source, value }) => ({
    value,
    source,
    age: Duration.toMillis(age),
    operation,
    by: degradedBy?._tag
  }))

const inPlace = { source: "fallback", age: 0, operation: "acme.orders.bulk", by: "RetryableError" } as const
const live = { source: "live", age: 0, operation: undefined, by: undefined } as const

const name = "rates"

describe("Fallback.value", () => {
  it.effect("answers for what may pass, and says that it did", () =>
    inScenario(
      Effect.gen(function* () {
        for (const error of [notSent(), inDoubt()]) {
          const answered = yield* seen(failing(error).pipe(Fallback.value("none", { name })))
          assert.deepStrictEqual(answered, { value: "none", ...inPlace })
        }
        const well = yield* seen(Effect.succeed("well").pipe(Fallback.value("none", { name })))
        assert.deepStrictEqual(well, { value: "well", ...live })
      })
    )
  )

  it.effect("leaves what is wrong an error, unless it is told to answer for that too", () =>
    inScenario(
      Effect.gen(function* () {
        const [wrong, declined] = [refused(), new Declined()]
        const flipped = (error: Failure, answers: Fallback.Answers) =>
          failing(error).pipe(
            Fallback.value<string, Fallback.Answers>("none", { name, answers }),
            Effect.catch((left) => Effect.succeed(left))
          )

        assert.strictEqual<unknown>(yield* flipped(wrong, "retryable"), wrong)
        assert.strictEqual<unknown>(yield* flipped(declined, "retryable"), declined)
        assert.strictEqual<unknown>(yield* flipped(wrong, "any"), "none")
        assert.strictEqual<unknown>(yield* flipped(declined, "any"), declined)
      })
    )
  )
})

describe("Fallback.lastKnownGood", () => {
  it.effect("gives what came last for the same key, with its age, as long as that is young enough", () =>
    inScenario(
      Effect.gen(function* () {
        const rates = yield* Fallback.lastKnownGood<string>({ name, maxAge: "10 seconds" })
        const error = notSent()
        const fails = failing(error)
        assert.strictEqual(yield* Effect.flip(fails.pipe(rates.of("eur"))), error)
        yield* Effect.succeed("old").pipe(rates.of("eur"))
        yield* Effect.succeed("1.07").pipe(rates.of("eur"))
        yield* TestClock.adjust("10 seconds")

        assert.deepStrictEqual(yield* seen(fails.pipe(rates.of("eur"))), { value: "1.07", ...inPlace, age: 10_000 })
        assert.strictEqual(yield* Effect.flip(fails.pipe(rates.of("usd"))), error)
        assert.strictEqual((yield* Effect.flip(failing(refused()).pipe(rates.of("eur"))))._tag, "FatalError")
        yield* TestClock.adjust(1)
        assert.strictEqual(yield* Effect.flip(fails.pipe(rates.of("eur"))), error)
      })
    )
  )

  it.effect("remembers as many keys as it may, those that were answered last", () =>
    inScenario(
      Effect.gen(function* () {
        const rates = yield* Fallback.lastKnownGood<string>({ name, capacity: 2 })
        for (const key of ["a", "b", "a", "c"]) yield* Effect.succeed(key).pipe(rates.of(key))
        const known = yield* Effect.forEach(["a", "b", "c"], (key) =>
          failing(notSent()).pipe(
            rates.of(key),
            Effect.catch(() => Effect.succeed("unknown"))
          )
        )

        assert.deepStrictEqual(known, ["a", "unknown", "c"])
        // What is answered again takes no room of another.
        yield* Effect.succeed("c").pipe(rates.of("c"))
        assert.strictEqual(yield* failing(notSent()).pipe(rates.of("a")), "a")
        assert.throws(() => Fallback.lastKnownGood({ name, capacity: 0 }), RangeError)
      })
    )
  )
})

describe("Fallback.to", () => {
  const elsewhere = Effect.succeed("elsewhere")

  it.effect("does a write elsewhere only if it was not sent", () =>
    inScenario(
      Effect.gen(function* () {
        const outcomes = yield* Effect.forEach(
          [notSent(), inDoubt(), outcomeUnknown(), refused(), new Declined()],
          (error) =>
            writing(error).pipe(
              Fallback.to(elsewhere, { name }),
              Effect.catch(({ _tag }) => Effect.succeed(_tag))
            )
        )

        assert.deepStrictEqual(outcomes, ["elsewhere", "RetryableError", "OutcomeUnknown", "FatalError", "Declined"])
      })
    )
  )

  it.effect("does a read elsewhere whatever may pass, and notes that it did", () =>
    inScenario(
      Effect.gen(function* () {
        const read = failing(inDoubt()).pipe(Fallback.to(elsewhere, { name, of: "reads" }))

        assert.deepStrictEqual(yield* seen(read), { value: "elsewhere", ...inPlace })
      })
    )
  )
})

class Bank extends Context.Service<
  Bank,
  { readonly charge: Effect.Effect<string, Failure | ProviderError.OutcomeUnknown> }
>()("test/Bank") {}

describe("Fallback.providers", () => {
  const bank = (of: string, tried: Array<string>, error?: Failure | ProviderError.OutcomeUnknown) => {
    const charge = Effect.suspend(() => {
      tried.push(of)
      return error === undefined ? Effect.succeed(of) : Effect.fail(error)
    })
    return { name: of, provide: Context.make(Bank, { charge }) }
  }
  const charge = Effect.flatMap(Bank, (each) => each.charge)

  it.effect("tries each once, until one does it, and never another after an error that must stay", () =>
    inScenario(
      Effect.gen(function* () {
        for (const [errors, tried, outcome] of [
          [[], ["a"], "a"],
          [[notSent()], ["a", "b"], "b"],
          [[notSent(), notSent()], ["a", "b", "c"], "c"],
          [[notSent(), notSent(), notSent()], ["a", "b", "c"], "RetryableError"],
          [[inDoubt()], ["a"], "RetryableError"],
          [[outcomeUnknown()], ["a"], "OutcomeUnknown"],
          [[refused()], ["a"], "FatalError"],
          [[new Declined()], ["a"], "Declined"],
          [[notSent(), new Declined()], ["a", "b"], "Declined"]
        ] as const) {
          const called: Array<string> = []
          const run = charge.pipe(
            Fallback.providers(
              [bank("a", called, errors[0]), bank("b", called, errors[1]), bank("c", called, errors[2])],
              { name: "payments" }
            ),
            Effect.catch(({ _tag }) => Effect.succeed(_tag))
          )

          assert.deepStrictEqual([yield* run, called], [outcome, tried])
        }
      })
    )
  )

  it.effect("notes an answer of another than the first", () =>
    inScenario(
      Effect.gen(function* () {
        const steps = [bank("a", [], notSent()), bank("b", [])] as const
        assert.deepStrictEqual(yield* seen(charge.pipe(Fallback.providers(steps, { name: "payments" }))), {
          value: "b",
          ...inPlace
        })
        assert.deepStrictEqual(yield* seen(charge.pipe(Fallback.providers([bank("a", [])], { name: "payments" }))), {
          value: "a",
          ...live
        })
      })
    )
  )
})

describe("Fallback.partial", () => {
  it.effect("gives what is there, and names what is not", () =>
    inScenario(
      Effect.gen(function* () {
        const error = notSent()
        const parts = { customer: Effect.succeed(7), orders: failing(error), rates: Effect.succeed("1.07") }
        const { value, ...provenance } = yield* seen(Fallback.partial(parts, { name: "page" }))

        assert.deepStrictEqual(value, {
          parts: { customer: 7, orders: undefined, rates: "1.07" },
          absent: [{ name: "orders", because: error }]
        })
        assert.deepStrictEqual(provenance, inPlace)
        const whole = yield* seen(Fallback.partial({ customer: Effect.succeed(7) }, { name: "page" }))
        assert.deepStrictEqual(whole, { value: { parts: { customer: 7 }, absent: [] }, ...live })
        const wrong = Fallback.partial({ ...parts, orders: failing(refused()) }, { name: "page" })
        assert.strictEqual((yield* Effect.flip(wrong))._tag, "FatalError")
      })
    )
  )
})

describe("Fallback.off", () => {
  const feature = Fallback.off({ name: "tips", when: Config.Boolean("TIPS_OFF") })
  const within = (variables: Record<string, string>) =>
    Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromUnknown(variables))

  it.effect("calls nobody while the feature is off, and fails so that others may answer", () =>
    inScenario(
      Effect.gen(function* () {
        let calls = 0
        const tips = Effect.sync(() => ++calls).pipe(feature)

        assert.strictEqual((yield* Effect.flip(tips.pipe(within({ TIPS_OFF: "true" }))))._tag, "FeatureOff")
        assert.strictEqual(calls, 0)
        assert.strictEqual(yield* tips.pipe(within({ TIPS_OFF: "false" })), 1)
        assert.strictEqual(yield* tips.pipe(within({})), 2)
        assert.strictEqual((yield* Effect.flip(tips.pipe(within({ TIPS_OFF: "perhaps" }))))._tag, "ConfigError")
        const answered = tips.pipe(Fallback.value(0, { name: "tips" }), within({ TIPS_OFF: "true" }))
        assert.deepStrictEqual(yield* seen(answered), {
          value: 0,
          source: "fallback",
          age: 0,
          operation: undefined,
          by: undefined
        })
      })
    )
  )
})

describe("A fallback that answers", () => {
  it.effect("is counted each time, and said when it begins and when it has been over for a minute", () => {
    const book = new LogBook()
    return inScenario(
      Effect.gen(function* () {
        const asked = (effect: Effect.Effect<string, Failure>) =>
          effect.pipe(Fallback.value("none", { name }), Effect.orDie)
        for (let n = 0; n < 3; n++) {
          yield* asked(failing(notSent()))
          yield* asked(Effect.succeed("well"))
          yield* TestClock.adjust("59999 millis")
        }
        yield* asked(Effect.succeed("well"))
        yield* TestClock.adjust(1)
        yield* asked(Effect.succeed("well"))
        yield* asked(Effect.succeed("well"))
        const labels = {
          [Telemetry.attribute.fallback]: name,
          [Telemetry.attribute.reason]: "RateLimited"
        }

        assert.strictEqual((yield* Metric.value(Metric.withAttributes(Telemetry.fallbacks, labels))).count, 3)
        assert.deepStrictEqual(book.lines, [
          {
            level: "Warn",
            message: "rates: answered by a value, since acme.orders.bulk: rate limited by the provider",
            fields: {
              third_party: "acme",
              operation: "acme.orders.bulk",
              correlation_id: "c1",
              error_code: "RATE_LIMITED",
              error_message: "rate limited by the provider",
              event: "degraded"
            }
          },
          {
            level: "Info",
            message: "rates: answered as usual again, after 3 other answers in 1m 59s 998ms",
            fields: { event: "recovered" }
          }
        ])
      }),
      book
    )
  })
})
