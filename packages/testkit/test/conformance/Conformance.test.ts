import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import * as Client from "@breakwater/core/Client"
import { FatalError, OutcomeUnknown, type ProviderError, RetryableError } from "@breakwater/core/ProviderError"
import { Conformance, Fault } from "@breakwater/testkit"
import * as Payouts from "../support/Payouts.ts"

const { broken, suite } = Payouts

/** What an error says that is not so. */
interface Change {
  readonly attempts?: number
  readonly correlationId?: string
  readonly excerpt?: string
  readonly sent?: "no"
}

const fieldsOf = (error: ProviderError) => {
  const { attempts, connection, correlationId, elapsed, operation, provider } = error
  return { attempts, connection, correlationId, elapsed, operation, provider }
}

/** What is thrown, in its own words. */
const refusal = (run: () => unknown): string => {
  try {
    run()
  } catch (error) {
    assert.instanceOf(error, Conformance.ConformanceError)
    return (error as Error).message
  }
  return "nothing was thrown"
}

const one = (faults: ReadonlyArray<Fault.Fault | string>) => ({ ...suite, faults })

describe("Conformance.check", () => {
  it("passes a provider that keeps its word, with nothing given but what cannot be derived", () => {
    const report = Conformance.check({
      ...suite,
      operations: { "payouts.create": { errors: { NoFunds: { payload: { cents: 13 } } } } }
    })

    assert.deepStrictEqual(report.violations, [])
    assert.deepStrictEqual(report.notExercised, [])
    assert.strictEqual(report.cases.length, 5 * (1 + Conformance.faults.length + 2 + 1) + 1)
  }, 30_000)

  it("finds double work on a replay", () => {
    const report = Conformance.check({ ...one(["lost response"]), simulated: Payouts.simulated({ replays: true }) })

    assert.deepStrictEqual(broken(report), ["payouts.create: no double work"])
    assert.include(report.violations[0]?.message, "one call, sent twice, did 2 units of work: payout of")
  })

  it("finds a write that is marked safe", () => {
    const report = Conformance.check({ ...one(["lost response"]), simulated: Payouts.simulated({ searchPays: true }) })

    assert.deepStrictEqual(broken(report), ["payouts.search: no work"])
    assert.match(report.violations.at(-1)?.message ?? "", /it is marked safe, and did payout .*Safety\.keyed/u)
  })

  it("finds a key that does not go out, or another one", () => {
    const said = (name: string, value?: string) =>
      Conformance.check({ ...one(["refused"]), layer: Payouts.layerWithHeader(name, value) }).violations.flatMap(
        ({ fault, message, operation, rule }) => (fault === "refused" ? [[operation, rule, message]] : [])
      )
    const everywhere = (message: string) =>
      ["get", "replace", "create", "send", "search"].map((name) => [`payouts.${name}`, "headers", message])

    assert.deepStrictEqual(said("Idempotency-Key"), [["payouts.create", "headers", "request 1 has no Idempotency-Key"]])
    assert.deepStrictEqual(said("Payouts-Version"), everywhere("request 1 has no Payouts-Version"))
    assert.deepStrictEqual(said("Payouts-Version", "2"), everywhere('Payouts-Version is "2", not "3"'))
    assert.deepStrictEqual(said("User-Agent"), everywhere("request 1 has no user-agent"))
    assert.deepStrictEqual(said("X-Request-ID"), everywhere("request 1 has no x-request-id"))
  })

  it("finds an unsafe request that is sent again", () => {
    const report = Conformance.check({ ...one(["lost response"]), layer: Payouts.layerThatResends })

    assert.includeMembers(broken(report), ["payouts.send: not resent", "payouts.send: no double work"])
  })

  it("finds an operation that is not as idempotent as it says", () => {
    const report = Conformance.check({ ...one(["lost response"]), simulated: Payouts.simulated({ replaceAdds: true }) })

    assert.deepStrictEqual(broken(report), ["payouts.replace: no double work"])
  })

  it("finds a success without work", () => {
    const report = Conformance.check({ ...one(["status 503"]), simulated: Payouts.simulated({ forgets: true }) })
    const crash = Conformance.check({ ...one(["crash 500"]), simulated: Payouts.simulated({ forgets: true }) })

    assert.deepStrictEqual(broken(report), [])
    assert.deepStrictEqual(broken(crash), ["payouts.create: no lost work"])
    assert.strictEqual(crash.violations[0]?.message, "it succeeded, and the ledger has nothing")
  })

  it("finds work that was done and refused", () => {
    const report = Conformance.check({
      ...one([]),
      simulated: Payouts.simulated({ paysAndRefuses: true }),
      operations: { "payouts.create": { errors: { NoFunds: { payload: { cents: 13 } } } } }
    })

    assert.deepStrictEqual(
      report.violations.map(({ fault, message, rule }) => [fault, rule, message]),
      [["its error NoFunds", "nothing sent", "it ended with NoFunds, which it declares, and did payout of 13 (p0)"]]
    )
  })

  it("finds a secret that an error shows", () => {
    const report = Conformance.check({
      ...one([]),
      operations: { "payouts.send": { request: { payload: { cents: 424_242 } }, secrets: ["424242"] } }
    })

    assert.deepStrictEqual(broken(report), ["payouts.send: no secret"])
    assert.strictEqual(
      report.violations[0]?.message,
      "the error shows what is secret in the request: operations.secrets"
    )
  })

  it("finds attempts of which each is another request", () => {
    const report = Conformance.check({ ...one(["refused"]), layer: Payouts.layerThatVaries })

    assert.include(broken(report), "payouts.create: same request")
  })

  it("finds what the provider's own declaration calls secret", () => {
    const check = (excerpt: string) =>
      Conformance.check({
        ...one(["status 404"]),
        operations: { "payouts.create": { request: { payload: { cents: 5, memo: 'for "the" ransom' } } } },
        layer: Payouts.layerThatSays((error) =>
          error instanceof FatalError ? new FatalError({ ...fieldsOf(error), reason: error.reason, excerpt }) : error
        )
      }).violations.map(({ message }) => message)

    assert.deepStrictEqual(check("for the money"), [])
    for (const excerpt of ['for "the" ransom', String.raw`{"memo":"for \"the\" ransom"}`, "?for%20%22the%22%20ransom"])
      assert.strictEqual(check(excerpt)[0], "the error shows what is secret in the request: field memo")
  })

  it("finds a call that never ends", () => {
    const report = Conformance.check({ ...one(["blackhole", "refused"]), layer: Payouts.layerThatHangs })

    assert.deepStrictEqual(
      [...new Set(report.violations.map(({ fault, rule }) => `${fault}: ${rule}`))],
      ["blackhole: ends"]
    )
    assert.strictEqual(report.violations[0]?.message, "it hangs: nothing is left that could wake it")
  })

  it("finds an error of no known class, and one that says what is not so", () => {
    const saying = (say: (error: RetryableError) => unknown, fault = "lost response") =>
      broken(
        Conformance.check({
          ...one([fault]),
          layer: Payouts.layerThatSays((error) => (error instanceof RetryableError ? say(error) : error))
        })
      )
    const anew = (error: RetryableError, change: Change) =>
      new RetryableError({ ...fieldsOf(error), reason: error.reason, sent: error.sent, ...change })

    assert.deepStrictEqual(
      saying(() => "oops"),
      ["payouts.create: error class", "payouts.get: error class"]
    )
    assert.deepStrictEqual(
      saying((error) => new OutcomeUnknown({ ...fieldsOf(error), reason: error.reason, firstSentAt: 0 })),
      ["payouts.get: outcome known"]
    )
    assert.deepStrictEqual(
      saying((error) => anew(error, { correlationId: "another" })),
      ["payouts.create: error context", "payouts.get: error context"]
    )
    assert.deepStrictEqual(
      saying((error) => anew(error, { attempts: 0 })),
      ["payouts.create: error context", "payouts.get: error context"]
    )
    assert.deepStrictEqual(
      saying((error) => anew(error, { excerpt: "with key-of-a-test" })),
      ["payouts.create: no secret", "payouts.get: no secret"]
    )
    assert.deepStrictEqual(
      saying((error) => anew(error, { sent: "no" })),
      ["payouts.create: nothing sent"]
    )
    assert.deepStrictEqual(
      saying((error) => anew(error, { sent: "no" }), "refused"),
      []
    )
  })

  it("makes nothing worse where only a kind of entry counts, or none", () => {
    const simulated = Payouts.simulated({ recordsTwice: true })
    const counts = { counts: "payout" }
    const report = Conformance.check({
      ...one(["lost response"]),
      simulated,
      operations: { "payouts.create": counts, "payouts.send": { counts: "nothing" }, "payouts.replace": counts }
    })

    assert.deepStrictEqual(report.violations, [])
    assert.deepStrictEqual(report.notExercised.slice(0, 1), [
      "payouts.send: one call leaves nothing in the ledger, so its work is not judged"
    ])
  })

  it("says what it did not exercise", () => {
    const report = Conformance.check({ ...one([]), operations: { "payouts.get": "skip" } })

    assert.deepStrictEqual(report.notExercised, [
      "payouts.get: left out",
      "payouts.create: no case ends with NoFunds, which it declares; give a request, as errors.NoFunds"
    ])
  })
})

describe("misuse of Conformance", () => {
  it("does not compile, where types can tell", () => {
    const check = (
      operations: Parameters<typeof Conformance.check<never, typeof Payouts.Payouts.Service, never>>[0]["operations"]
    ) => assert.isDefined(operations)

    // @ts-expect-error no such operation
    check({ "payouts.pay": {} })
    // @ts-expect-error cents is a number
    check({ "payouts.create": { request: { payload: { cents: "5" } } } })
    check({ "payouts.create": { request: { payload: { cents: 5 } } }, "payouts.get": "skip" })
  })

  const said = (operations: object) => refusal(() => Conformance.check({ ...one([]), operations }))

  it("names an operation that is not declared", () => {
    assert.strictEqual(
      said({ "payouts.pay": {} }),
      'payouts declares no operation "payouts.pay"; it declares payouts.get, payouts.replace, payouts.create, payouts.send, payouts.search'
    )
  })

  it("names an error that is not declared, and one that does not come about", () => {
    const payload = { cents: 5 }

    assert.strictEqual(
      said({ "payouts.create": { errors: { NoFound: { payload } } } }),
      'operations["payouts.create"].errors of payouts: it declares no error "NoFound"; it declares NoFunds'
    )
    assert.strictEqual(
      said({ "payouts.create": { errors: { NoFunds: { payload } } } }),
      "payouts.payouts.create: the request in errors.NoFunds ends with success"
    )
  })

  it("names a fault that there is not, and one that is there twice", () => {
    assert.match(
      refusal(() => Conformance.check(one(["lost respond"]))),
      /^there is no fault "lost respond"; there are "latency 50 ms", .*"lost response"/u
    )
    assert.strictEqual(
      refusal(() => Conformance.check(one([Fault.refused, "refused"]))),
      'two faults are called "refused"'
    )
  })

  it("refuses a provider without a ledger", () => {
    const simulated = Effect.map(Payouts.simulated(), (provider) => ({ ...provider, ledger: undefined as never }))

    assert.strictEqual(
      refusal(() => Conformance.check({ ...suite, simulated })),
      "payouts.payouts.get: the simulated payouts has no ledger, so nobody can say what it did: give SimulatedProvider.make a new Ledger()"
    )
  })

  it("names a write of which the ledger cannot tell how often it was done", () => {
    const check = (bugs: Payouts.Bugs, counts?: string) =>
      refusal(() =>
        Conformance.check({
          ...one([]),
          simulated: Payouts.simulated(bugs),
          operations: { "payouts.create": { counts, request: { payload: { cents: 5 } } } }
        })
      )

    assert.strictEqual(
      check({ recordsNothing: true }),
      'payouts.payouts.create is keyed and succeeded, and the ledger has nothing: record what it does in its handler, or say counts: "nothing" if it does nothing (the ledger has nothing)'
    )
    assert.include(check({}, "payot"), 'the ledger has nothing of kind "payot"')
    assert.strictEqual(
      check({ recordsTwice: true }),
      "payouts.payouts.create was called once, with nothing wrong, and did 2 units of work: payout of 5 (p0), fee; say which kind counts"
    )
  })

  it("names an operation of which no request succeeds", () => {
    assert.match(
      refusal(() => Conformance.check({ ...one([]), simulated: Payouts.simulated({ knowsNone: true }) })),
      /^payouts\.payouts\.get: no request made from its schemas succeeds \(the last, \{"params":\{"id":-?\d+\}\} ends with FatalError \(NotFound\).*\): give one, as operations\["payouts\.get"\]\.request$/u
    )
    assert.strictEqual(
      said({ "payouts.create": { request: { payload: { cents: 13 } } } }),
      'payouts.payouts.create: its request must succeed with nothing wrong: {"payload":{"cents":13}} ends with NoFunds'
    )
    assert.include(
      said({ "payouts.create": { request: () => Effect.fail("no customer") } }),
      "payouts.payouts.create: its request cannot be made, while nothing is wrong: no customer"
    )
  })
})

describe("what cannot be simulated", () => {
  it("is told by file and line, where it is real time", () => {
    assert.match(
      refusal(() => Conformance.check({ ...one([]), layer: Payouts.layerThatLeaves })),
      /^payouts\.payouts\.get: with nothing wrong, it leaves the simulation by .*Payouts\.ts:\d+/u
    )
  })

  it("is a client that is not built", () => {
    const layer = Client.layer(Payouts.Payouts, Payouts.provider, { credential: Redacted.make("") })

    assert.strictEqual(
      refusal(() => Conformance.check({ ...one([]), layer })),
      "payouts.payouts.get cannot be tried: connection to payouts: credential must not be empty"
    )
  })
})

describe("Conformance.suite", () => {
  it("skips what is not exercised", () => {
    const skipped: Array<string> = []
    const it = Object.assign(() => undefined, { skip: (name: string) => void skipped.push(name) })
    Conformance.suite(it, { ...suite, operations: { "payouts.get": "skip" } })

    assert.deepStrictEqual(skipped, [
      "payouts.create (keyed): no request for its error NoFunds",
      "payouts.get: left out"
    ])
  })

  it("registers a test for each operation and fault, which fails by the rules that are broken", () => {
    const tests = new Map<string, () => void | Promise<void>>()
    let told = ""
    Conformance.suite((name, test) => tests.set(name, test), {
      ...one(["lost response"]),
      simulated: Payouts.simulated({ replays: true }),
      onReport: (report) => {
        told = Conformance.summary(report)
      }
    })
    const run = (name: string) => refusal(() => void tests.get(name)?.())

    assert.deepStrictEqual([...tests.keys()].slice(0, 4), [
      "payouts.get (safe): works with nothing wrong",
      "payouts.get (safe): lost response",
      "payouts.get (safe): status 400 that quotes the request",
      "payouts.get (safe): status 500 that quotes the request"
    ])
    assert.strictEqual(run("payouts.get (safe): lost response"), "nothing was thrown")
    assert.match(
      run("payouts.create (keyed): lost response"),
      /^payouts\.create breaks rules; it ended with success, and with RetryableError \(TransportFailed\)\n {2}no double work: one call/u
    )
    assert.strictEqual(run("the whole is told"), "nothing was thrown")
    assert.match(told, /^payouts: 2 cases, 5 operations, 1 faults: \d broken\n/u)
    assert.match(told, /\nlost response +ok\/retryable +BROKEN\n/u)
  })
})
