import { inspect } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import * as Fatal from "@breakwater/core/FatalReason"
import * as Errors from "@breakwater/core/ProviderError"
import * as Retryable from "@breakwater/core/RetryableReason"
import { Duration, Effect, Schema } from "effect"
import { fatalReasons, retryableReasons } from "./support/Samples.ts"

const context = {
  provider: "acme",
  operation: "acme.things.create",
  connection: "tenant-7",
  correlationId: "order-42",
  attempts: 3,
  elapsed: Duration.millis(1234),
  requestId: "req_provider_1",
  excerpt: '{"error":"their words"}'
}

const retryable = (reason: Retryable.RetryableReason): Errors.RetryableError =>
  new Errors.RetryableError({ ...context, reason, sent: "unknown", retryUntil: 1_790_000_000_000 })

const errors: ReadonlyArray<Errors.ProviderError> = [
  ...retryableReasons.map(retryable),
  ...fatalReasons.map((reason) => new Errors.FatalError({ ...context, reason })),
  ...[...retryableReasons, ...fatalReasons].map(
    (reason) => new Errors.OutcomeUnknown({ ...context, reason, firstSentAt: 1_790_000_000_000 })
  )
]

/** An error with a cause as the pipeline hangs it on: outside of the schema. */
const withCause = (error: Errors.ProviderError): Errors.ProviderError =>
  Object.defineProperty(error, "cause", { value: new Error("planted-cause"), enumerable: false, configurable: true })

describe("ProviderError", () => {
  it("begins its message with the operation and ends it with the reason's", () => {
    for (const error of errors) {
      const unknown = error._tag === "OutcomeUnknown" ? "outcome unknown, " : ""
      assert.strictEqual(error.message, `acme.things.create: ${unknown}${error.reason.message}`)
    }
  })

  it("is an Error with a namespaced name and a stack", () => {
    const names = new Set(errors.map(({ name }) => name))

    assert.deepStrictEqual(
      [...names],
      ["RetryableError", "FatalError", "OutcomeUnknown"].map((tag) => `@breakwater/core/ProviderError/${tag}`)
    )
    assert.isTrue(
      errors.every((error) => error instanceof Error && error.stack?.includes("ProviderError.test") === true)
    )
  })

  it.effect("comes back from JSON as it was", () =>
    Effect.gen(function* () {
      const codec = Schema.toCodecJson(Schema.Array(Errors.ProviderError))

      const json = JSON.stringify(yield* Schema.encodeEffect(codec)(errors))
      const back = yield* Schema.decodeUnknownEffect(codec)(JSON.parse(json))

      assert.deepStrictEqual(
        back.map((error) => JSON.stringify(error)),
        errors.map((error) => JSON.stringify(error))
      )
      assert.deepStrictEqual(
        back.map(({ message }) => message),
        errors.map(({ message }) => message)
      )
    })
  )

  it.effect("shows what it was made of, and nothing else, in JSON and when it is encoded (AUTH-10)", () =>
    Effect.gen(function* () {
      const error = withCause(new Errors.FatalError({ ...context, reason: fatalReasons[4] ?? assert.fail() }))
      const reason = { _tag: "NotFound", status: 404, code: "resource_missing" }

      const json: unknown = JSON.parse(JSON.stringify(error))
      const encoded = yield* Schema.encodeEffect(Schema.toCodecJson(Errors.ProviderError))(error)

      const { elapsed: _, ...text } = context
      assert.deepStrictEqual(json, {
        _tag: "FatalError",
        ...text,
        elapsed: { _id: "Duration", _tag: "Millis", millis: 1234 },
        reason
      })
      assert.deepStrictEqual(encoded, { _tag: "FatalError", ...text, elapsed: { _tag: "Millis", value: 1234 }, reason })
    })
  )

  it.effect("keeps its cause out of JSON, of its encoding and of its message", () =>
    Effect.gen(function* () {
      for (const error of errors.map(withCause)) {
        const encoded = yield* Schema.encodeEffect(Errors.ProviderError)(error)
        const shown = [
          JSON.stringify(error),
          JSON.stringify(encoded),
          error.message,
          String(error),
          inspect(error)
        ].join()
        assert.notInclude(shown, "planted-cause")
        assert.strictEqual((error.cause as Error).message, "planted-cause")
      }
    })
  )

  it("tells how long to wait, where its reason does", () => {
    const waits = retryableReasons.map((reason) => {
      const wait = retryable(reason).retryAfter
      return wait === undefined ? undefined : Duration.toSeconds(wait)
    })

    const none = undefined
    assert.deepStrictEqual(waits, [2, 3, none, none, 4, 30, none, none, none, none, none, none])
  })

  it.effect("can be caught by its class and by its reason", () =>
    Effect.gen(function* () {
      const failing: Effect.Effect<string, Errors.ProviderError> = Effect.fail(retryable(new Retryable.Locked({})))

      const byTag = yield* Effect.catchTag(failing, "RetryableError", (error) => Effect.succeed(error.reason._tag))
      const byReason = yield* Effect.catchReason(failing, "RetryableError", "Locked", (reason) =>
        Effect.succeed(reason.message)
      )

      assert.deepStrictEqual([byTag, byReason], ["Locked", "locked by a request in flight"])
    })
  )
})

describe("ProviderError.isProviderError", () => {
  it("takes the three classes, and nothing that looks like them", () => {
    assert.isTrue(errors.every(Errors.isProviderError))
    assert.isFalse(
      [undefined, null, "RetryableError", new Error("no"), { _tag: "FatalError" }, ...fatalReasons].some(
        Errors.isProviderError
      )
    )
  })
})

describe("ProviderError.toProblem", () => {
  const problem = (error: Errors.ProviderError) => Errors.toProblem(error)
  const instance = "urn:breakwater:call:order-42"

  it("is a problem document for our own callers (SAFE-11, RFC 9457)", () => {
    const [limited] = errors

    assert.deepStrictEqual(problem(limited ?? assert.fail()), {
      type: "about:blank",
      status: 503,
      title: "A service that we depend on is not available",
      instance,
      retryAfter: 2
    })
    assert.deepStrictEqual(problem(new Errors.FatalError({ ...context, reason: fatalReasons[0] ?? assert.fail() })), {
      type: "about:blank",
      status: 502,
      title: "A service that we depend on refused the request",
      instance
    })
    assert.deepStrictEqual(
      problem(new Errors.OutcomeUnknown({ ...context, reason: fatalReasons[1] ?? assert.fail(), firstSentAt: 1 })),
      { type: "about:blank", status: 502, title: "We do not know yet whether the request was carried out", instance }
    )
  })

  it("tells a service that is slow from one that is down", () => {
    const statuses = retryableReasons.map((reason) => [reason._tag, problem(retryable(reason)).status])

    assert.deepStrictEqual(
      statuses.filter(([, status]) => status === 504).map(([tag]) => tag),
      ["Timeout", "DeadlineExceeded"]
    )
    assert.isTrue(statuses.every(([, status]) => status === 503 || status === 504))
  })

  it("rounds a wait up to whole seconds, so that nobody comes too early", () => {
    const after = (wait: Duration.Duration) =>
      problem(retryable(new Retryable.CircuitOpen({ retryAfter: wait })))["retryAfter"]

    assert.deepStrictEqual(
      [0, 1, 1000, 1001].map((millis) => after(Duration.millis(millis))),
      [0, 1, 1, 2]
    )
  })

  it("holds nothing of the provider's (SAFE-11)", () => {
    const theirs = [
      "acme",
      "things",
      "tenant-7",
      "req_provider",
      "their words",
      "status",
      "code",
      "slow_down",
      "ECONN",
      "teapot"
    ]

    for (const error of errors) {
      const { instance: _, status: __, ...rest } = problem(withCause(error))
      const text = JSON.stringify(rest)
      for (const word of theirs) assert.notInclude(text, word)
      assert.notInclude(text, "planted-cause")
    }
  })

  it("has no other fields than those of the problem document", () => {
    const fields = new Set(errors.flatMap((error) => Object.keys(problem(error))))

    assert.deepStrictEqual([...fields].toSorted(), ["instance", "retryAfter", "status", "title", "type"])
  })
})

describe("ProviderError.errorCode", () => {
  it("is a closed list that alerts can name (OBS-1)", () => {
    const codes = [...retryableReasons, ...fatalReasons].map((reason) => [reason._tag, Errors.errorCode(reason)])

    assert.deepStrictEqual(codes, [
      ["RateLimited", "HTTP_429"],
      ["Unavailable", "HTTP_503"],
      ["Timeout", "ETIMEDOUT"],
      ["TransportFailed", "ECONN"],
      ["Locked", "HTTP_409"],
      ["CircuitOpen", "CIRCUIT_OPEN"],
      ["Overloaded", "OVERLOADED"],
      ["RetriesSpent", "ECONN"],
      ["DeadlineExceeded", "DEADLINE_EXCEEDED"],
      ["CredentialUnavailable", "CREDENTIAL_UNAVAILABLE"],
      ["Stopped", "STOPPED"],
      ["StoreUnavailable", "STORE_UNAVAILABLE"],
      ["InvalidRequest", "HTTP_422"],
      ["Unauthorized", "HTTP_401"],
      ["CredentialRejected", "HTTP_401"],
      ["PermissionDenied", "HTTP_403"],
      ["NotFound", "HTTP_404"],
      ["Conflict", "HTTP_409"],
      ["QuotaExhausted", "HTTP_402"],
      ["IdempotencyMismatch", "HTTP_400"],
      ["ResponseInvalid", "RESPONSE_INVALID"],
      ["Rejected", "HTTP_418"],
      ["Unresolved", "UNRESOLVED"],
      ["RecordUnusable", "RECORD_UNUSABLE"],
      ["DryRun", "DRY_RUN"]
    ])
  })

  it("is the reason's name where no answer came", () => {
    const expected = { path: "", expected: "a body" }
    const reasons = [
      new Retryable.RateLimited({ by: "budget" }),
      new Retryable.Locked({ status: undefined, code: undefined }),
      new Fatal.InvalidRequest({}),
      new Fatal.Unauthorized({}),
      new Fatal.CredentialRejected({}),
      new Fatal.PermissionDenied({}),
      new Fatal.NotFound({}),
      new Fatal.Conflict({}),
      new Fatal.QuotaExhausted({}),
      new Fatal.IdempotencyMismatch({}),
      new Fatal.ResponseInvalid(expected),
      new Fatal.Rejected({})
    ]

    assert.deepStrictEqual(reasons.map(Errors.errorCode), [
      "RATE_LIMITED",
      "LOCKED",
      "INVALID_REQUEST",
      "UNAUTHORIZED",
      "CREDENTIAL_REJECTED",
      "PERMISSION_DENIED",
      "NOT_FOUND",
      "CONFLICT",
      "QUOTA_EXHAUSTED",
      "IDEMPOTENCY_MISMATCH",
      "RESPONSE_INVALID",
      "REJECTED"
    ])
  })

  it("is of its own where the status tells of no failure (OBS-1)", () => {
    const unavailable = (problem: Retryable.Unavailable["problem"], status?: number) =>
      Errors.errorCode(new Retryable.Unavailable({ status, problem }))

    assert.deepStrictEqual(
      [
        unavailable("not JSON", 200),
        unavailable("empty body", 299),
        unavailable("status", 300),
        unavailable("status", 199),
        unavailable("failure"),
        Errors.errorCode(new Retryable.RateLimited({ status: 200, by: "provider" })),
        Errors.errorCode(new Fatal.ResponseInvalid({ status: 422, path: "", expected: "at most 8 bytes" }))
      ],
      [
        "RESPONSE_UNREADABLE",
        "RESPONSE_UNREADABLE",
        "HTTP_300",
        "HTTP_199",
        "UNAVAILABLE",
        "RATE_LIMITED",
        "RESPONSE_INVALID"
      ]
    )
  })

  it("looks behind a spent retry budget", () => {
    const last = new Retryable.Unavailable({ status: 502, problem: "status" })

    assert.strictEqual(Errors.errorCode(new Retryable.RetriesSpent({ last })), "HTTP_502")
    assert.strictEqual(Errors.errorCode(last), "HTTP_502")
  })
})
