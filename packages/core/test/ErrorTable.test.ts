import { assert, describe, it } from "@effect/vitest"
import type { Meaning } from "@breakwater/core/ErrorTable"
import * as ErrorTable from "@breakwater/core/ErrorTable"
import { Predicate, Schema } from "effect"
import * as Headers from "effect/http/Headers"

/** The code of `{"error": {"code": …}}`. */
const codeOf = (body: unknown): string | undefined =>
  Predicate.hasProperty(body, "error") && Predicate.hasProperty(body.error, "code")
    ? (body.error.code as string)
    : undefined

const withCode = (code: string): unknown => ({ error: { code } })

const read = (
  table: ErrorTable.ErrorTable,
  status: number,
  options: { readonly body?: unknown; readonly headers?: Record<string, string> } = {}
) => ErrorTable.read(table, { status, headers: Headers.fromInput(options.headers ?? {}), body: options.body })

describe("ErrorTable.read without rules", () => {
  it("knows what each status means in the field (SAFE-2, DESIGN §3)", () => {
    const byMeaning: { readonly [M in Meaning]?: ReadonlyArray<number> } = {
      InvalidRequest: [400, 422],
      Unauthorized: [401],
      PermissionDenied: [403],
      NotFound: [404, 410],
      Conflict: [409, 412],
      RateLimited: [429],
      Unavailable: [408, 425, 500, 502, 503, 504, 506, 507, 508, 511, 520, 599],
      Rejected: [
        300, 302, 402, 405, 406, 407, 411, 413, 414, 415, 416, 417, 418, 421, 423, 424, 426, 428, 431, 451, 499, 501,
        505
      ]
    }

    for (const [means, statuses] of Object.entries(byMeaning)) {
      for (const status of statuses) {
        assert.deepStrictEqual(read({}, status), {
          means: means as Meaning,
          code: undefined,
          explicit: false,
          undecided: false,
          refusedBeforeWork: status === 429
        })
      }
    }
  })
})

describe("ErrorTable.read with rules", () => {
  it("takes the first rule of which everything holds", () => {
    const table: ErrorTable.ErrorTable = {
      code: codeOf,
      rules: [
        { status: 409, code: "lock_timeout", means: "Locked" },
        { status: [409, 423], means: "IdempotencyMismatch" },
        { code: ["rate_limit", "slow_down"], means: "RateLimited" },
        { header: { name: "X-Quota", value: "spent" }, means: "QuotaExhausted" },
        { status: 409, means: "Rejected" }
      ]
    }
    const means = (status: number, code?: string, headers?: Record<string, string>) =>
      read(table, status, {
        body: code === undefined ? undefined : withCode(code),
        ...(headers === undefined ? {} : { headers })
      }).means

    assert.strictEqual(means(409, "lock_timeout"), "Locked")
    assert.strictEqual(means(409, "other"), "IdempotencyMismatch")
    assert.strictEqual(means(409), "IdempotencyMismatch")
    assert.strictEqual(means(423, "lock_timeout"), "IdempotencyMismatch")
    assert.strictEqual(means(400, "slow_down"), "RateLimited")
    assert.strictEqual(means(400, "rate_limit"), "RateLimited")
    assert.strictEqual(means(400, "rate"), "InvalidRequest")
    assert.strictEqual(means(403, undefined, { "x-quota": "spent" }), "QuotaExhausted")
    assert.strictEqual(means(403, undefined, { "x-quota": "Spent" }), "PermissionDenied")
    assert.strictEqual(means(403), "PermissionDenied")
  })

  it("says that the provider itself said so, and what code it gave", () => {
    const table: ErrorTable.ErrorTable = { code: codeOf, rules: [{ code: "declined", means: "Rejected" }] }

    assert.deepStrictEqual(read(table, 402, { body: withCode("declined") }), {
      means: "Rejected",
      code: "declined",
      explicit: true,
      undecided: false,
      refusedBeforeWork: false
    })
    assert.deepStrictEqual(read(table, 402, { body: withCode("other") }), {
      means: "Rejected",
      code: "other",
      explicit: false,
      undecided: false,
      refusedBeforeWork: false
    })
  })

  it("asks for a header to be there, whatever its value, when the rule gives none", () => {
    const table: ErrorTable.ErrorTable = { rules: [{ header: { name: "Retry-Later" }, means: "Locked" }] }

    assert.strictEqual(read(table, 400, { headers: { "retry-later": "" } }).means, "Locked")
    assert.strictEqual(read(table, 400).means, "InvalidRequest")
  })

  it("does not match a rule that asks for a code when there is none", () => {
    const table: ErrorTable.ErrorTable = {
      code: () => undefined,
      rules: [
        { code: ["a"], means: "Locked" },
        { code: [], means: "Locked" }
      ]
    }

    assert.strictEqual(read(table, 400).means, "InvalidRequest")
  })

  it("holds only throttling to be refused before work, unless a rule says otherwise", () => {
    const table = (rule: ErrorTable.Rule): ErrorTable.ErrorTable => ({ rules: [rule] })

    assert.isTrue(read(table({ means: "RateLimited" }), 400).refusedBeforeWork)
    assert.isFalse(read(table({ means: "RateLimited", refusedBeforeWork: false }), 429).refusedBeforeWork)
    assert.isTrue(read(table({ means: "Unavailable", refusedBeforeWork: true }), 503).refusedBeforeWork)
    assert.isFalse(read(table({ means: "Unavailable" }), 503).refusedBeforeWork)
    assert.isFalse(read(table({ means: "Locked" }), 429).refusedBeforeWork)
  })

  it("takes no code that is longer than 128 characters, on both sides of the boundary", () => {
    const table: ErrorTable.ErrorTable = { code: codeOf }

    assert.strictEqual(read(table, 400, { body: withCode("c".repeat(128)) }).code, "c".repeat(128))
    assert.isUndefined(read(table, 400, { body: withCode("c".repeat(129)) }).code)
  })
})

describe("ErrorTable.read with the provider's own advice", () => {
  const table: ErrorTable.ErrorTable = {
    code: codeOf,
    shouldRetryHeader: "Stripe-Should-Retry",
    rules: [
      { code: "lock_timeout", means: "Locked" },
      { code: "maintenance", means: "Unavailable", refusedBeforeWork: true }
    ]
  }
  const advised = (status: number, advice: string | undefined, code = "none") =>
    read(table, status, {
      body: withCode(code),
      headers: advice === undefined ? {} : { "stripe-should-retry": advice }
    })

  it("retries what it says to retry, whatever the status means", () => {
    const expected = { explicit: true, undecided: false, refusedBeforeWork: false, code: "none" } as const

    for (const status of [400, 404, 409, 501])
      assert.deepStrictEqual(advised(status, "true"), { ...expected, means: "Unavailable" })
  })

  it("does not retry what it says not to retry, whatever the rules say", () => {
    const expected = { means: "Rejected", explicit: true, undecided: false, refusedBeforeWork: false } as const

    assert.deepStrictEqual(advised(429, "false"), { ...expected, code: "none" })
    assert.deepStrictEqual(advised(409, "false", "lock_timeout"), { ...expected, code: "lock_timeout" })
  })

  it("does not take a 5xx that is not to be retried for one that did nothing, unless a rule says that it did nothing", () => {
    const expected = { means: "Rejected", explicit: true, refusedBeforeWork: false } as const

    assert.deepStrictEqual(advised(500, "false"), { ...expected, undecided: true, code: "none" })
    assert.deepStrictEqual(advised(503, "false", "maintenance"), { ...expected, undecided: false, code: "maintenance" })
  })

  it("changes nothing where it agrees, is absent, or says something else", () => {
    assert.deepStrictEqual(advised(503, "true", "maintenance"), advised(503, undefined, "maintenance"))
    assert.deepStrictEqual(advised(429, "true"), advised(429, undefined))
    assert.deepStrictEqual(advised(404, "false"), advised(404, undefined))
    for (const other of ["TRUE", "1", "", "maybe"]) assert.deepStrictEqual(advised(500, other), advised(500, undefined))
  })

  it("is not looked for when the table names no header", () => {
    assert.strictEqual(read({}, 500, { headers: { "stripe-should-retry": "false" } }).means, "Unavailable")
  })
})

describe("ErrorTable.read of anything", () => {
  const meanings: ReadonlySet<string> = new Set([
    "RateLimited",
    "Unavailable",
    "Locked",
    "InvalidRequest",
    "Unauthorized",
    "PermissionDenied",
    "NotFound",
    "Conflict",
    "QuotaExhausted",
    "IdempotencyMismatch",
    "Rejected"
  ])
  const table: ErrorTable.ErrorTable = {
    code: codeOf,
    shouldRetryHeader: "x-retry",
    rules: [
      { status: [409, 423], code: "in_flight", means: "Locked" },
      { header: { name: "x-quota", value: "0" }, means: "QuotaExhausted" }
    ]
  }

  it.prop(
    "never throws, always means something, and keeps no code that is too long, whatever body and headers say",
    [
      Schema.Int.check(Schema.isBetween({ minimum: 300, maximum: 599 })),
      Schema.Union([
        Schema.Json,
        Schema.Struct({ error: Schema.Struct({ code: Schema.Union([Schema.Json, Schema.Literals(["in_flight"])]) }) })
      ]),
      Schema.Record(Schema.Literals(["x-retry", "x-quota"]), Schema.Literals(["true", "false", "0", ""]))
    ],
    ([status, body, headers]) => {
      const verdict = read(table, status, { body, headers })

      assert.isTrue(meanings.has(verdict.means))
      assert.isTrue(verdict.code === undefined || verdict.code.length <= 128)
      assert.isTrue(verdict.explicit || !verdict.refusedBeforeWork || status === 429)
    },
    { arbitrary: { runs: 1000, size: 30, seed: "answers" } }
  )

  it.prop(
    "never means by itself that a 4xx other than 408, 425 and 429 may be retried (SAFE-2)",
    [Schema.Int.check(Schema.isBetween({ minimum: 400, maximum: 499 }))],
    ([status]) => {
      const { means } = read({}, status)

      assert.strictEqual(means === "Unavailable" || means === "RateLimited", [408, 425, 429].includes(status))
    },
    { arbitrary: { runs: 300, size: 500, seed: "4xx" } }
  )
})
