import { assert, describe, it } from "@effect/vitest"
import * as Dialect from "@breakwater/core/Dialect"
import { Schema } from "effect"
import * as Headers from "effect/http/Headers"

const now = 1_790_000_000_000
const longest = 31 * 24 * 3600 * 1000

const read = (headers: Record<string, string>, dialect?: Dialect.Dialect) =>
  Dialect.quotas(Dialect.resolve(dialect), Headers.fromInput(headers), now)

const spent = (name: string, resetMillis: number, limit?: number) => ({ name, remaining: 0, resetMillis, limit })

describe("Dialect.standard", () => {
  it("reads the three families of names, with and without a limit (RATE-2)", () => {
    for (const prefix of ["x-ratelimit", "ratelimit", "x-rate-limit"]) {
      const headers = { [`${prefix}-remaining`]: " 3 ", [`${prefix}-reset`]: "60" }

      assert.deepStrictEqual(read(headers), [{ name: "", remaining: 3, resetMillis: 60_000, limit: undefined }])
      assert.deepStrictEqual(read({ ...headers, [`${prefix}-limit`]: "100, 100;w=60" }), [
        { name: "", remaining: 3, resetMillis: 60_000, limit: 100 }
      ])
    }
  })

  it("reads a reset in whatever form", () => {
    for (const reset of ["60", String(now / 1000 + 60), String(now + 60_000), "1m0s"])
      assert.deepStrictEqual(read({ "x-ratelimit-remaining": "0", "x-ratelimit-reset": reset }), [spent("", 60_000)])
  })

  it("takes the IETF field before the X- ones, which count when it cannot be read", () => {
    const others = { "x-ratelimit-remaining": "9", "x-ratelimit-reset": "9" }

    assert.deepStrictEqual(read({ ...others, ratelimit: '"default";r=0;t=2' }), [spent("default", 2000)])
    assert.deepStrictEqual(read({ ...others, ratelimit: "nonsense;" }), [
      { name: "", remaining: 9, resetMillis: 9000, limit: undefined }
    ])
  })

  it("says nothing when a part is missing or cannot be read", () => {
    assert.deepStrictEqual(read({}), [])
    assert.deepStrictEqual(read({ "x-ratelimit-remaining": "3" }), [])
    assert.deepStrictEqual(read({ "x-ratelimit-reset": "3" }), [])
    for (const wrong of ["", "-1", "+1", "1.5", "1e3", "0x1", "many", "1, 2", "1234567890123456"])
      assert.deepStrictEqual(read({ "x-ratelimit-remaining": wrong, "x-ratelimit-reset": "1" }), [], wrong)
    assert.deepStrictEqual(read({ "x-ratelimit-remaining": "1", "x-ratelimit-reset": "soon" }), [])
  })

  it("leaves out a limit that cannot be read", () => {
    for (const limit of ["", "many", "-5", "5000".repeat(2000)])
      assert.deepStrictEqual(
        read({ "x-ratelimit-remaining": "0", "x-ratelimit-reset": "1", "x-ratelimit-limit": limit }),
        [spent("", 1000)]
      )
  })
})

describe("a dialect that has a name", () => {
  it("of GitHub tells the resource, in seconds since the epoch whatever their size", () => {
    const headers = {
      "x-ratelimit-limit": "5000",
      "x-ratelimit-remaining": "0",
      "x-ratelimit-reset": String(now / 1000 + 90),
      "x-ratelimit-resource": "core",
      "x-ratelimit-used": "5000"
    }

    assert.deepStrictEqual(read(headers, Dialect.github), [spent("core", 90_000, 5000)])
    assert.deepStrictEqual(read({ ...headers, "x-ratelimit-resource": "a secret thing" }, Dialect.github), [
      spent("", 90_000, 5000)
    ])
    assert.deepStrictEqual(read({ ...headers, "x-ratelimit-reset": "90" }, Dialect.github), [spent("core", 0, 5000)])
  })

  it("of OpenAI tells two limits, in durations", () => {
    const headers = {
      "x-ratelimit-limit-requests": "60",
      "x-ratelimit-remaining-requests": "59",
      "x-ratelimit-reset-requests": "1s",
      "x-ratelimit-limit-tokens": "150000",
      "x-ratelimit-remaining-tokens": "0",
      "x-ratelimit-reset-tokens": "6m0s"
    }

    assert.deepStrictEqual(read(headers, Dialect.openai), [
      { name: "requests", remaining: 59, resetMillis: 1000, limit: 60 },
      spent("tokens", 360_000, 150_000)
    ])
  })

  it("of SendGrid tells each endpoint's own, in seconds since the epoch", () => {
    const headers = {
      "x-ratelimit-limit": "500",
      "x-ratelimit-remaining": "0",
      "x-ratelimit-reset": String(now / 1000 + 5)
    }

    assert.deepStrictEqual(read(headers, Dialect.sendgrid), [spent("", 5000, 500)])
    assert.strictEqual(Dialect.resolve(Dialect.sendgrid).scope, "operation")
  })

  it("of Slack and of Stripe tells nothing of what is left", () => {
    const headers = { "x-ratelimit-remaining": "0", "x-ratelimit-reset": "60" }

    for (const dialect of [Dialect.slack, Dialect.stripe, Dialect.twilio])
      assert.deepStrictEqual(read(headers, dialect), [])
  })

  it("of Twilio tells how many requests run", () => {
    const concurrent = (value: string) =>
      Dialect.concurrent(Dialect.resolve(Dialect.twilio), Headers.fromInput({ "Twilio-Concurrent-Requests": value }))

    assert.strictEqual(concurrent("12"), 12)
    for (const wrong of ["", "-1", "many"]) assert.isUndefined(concurrent(wrong))
    assert.isUndefined(Dialect.concurrent(Dialect.resolve(), Headers.fromInput({ "twilio-concurrent-requests": "1" })))
  })

  it("needs a budget for each operation only where something is an operation's own", () => {
    const perOperation = (dialect?: Dialect.Dialect) => Dialect.resolve(dialect).perOperation

    assert.deepStrictEqual(
      [undefined, Dialect.github, Dialect.slack, Dialect.stripe, Dialect.sendgrid, Dialect.twilio, Dialect.openai].map(
        perOperation
      ),
      [false, true, true, true, true, false, false]
    )
  })
})

describe("a dialect of one's own", () => {
  it("has names of its own, in any case, a window where no header tells, and no IETF fields if it says so", () => {
    const dialect: Dialect.Dialect = {
      structured: false,
      quotas: [
        { name: "day", remaining: "X-Day-Left", window: "1 day" },
        { name: "minute", remaining: "X-Minute-Left", reset: "X-Minute-Ends", form: "epoch milliseconds" }
      ]
    }

    assert.deepStrictEqual(
      read(
        {
          ratelimit: '"default";r=7;t=2',
          "x-day-left": "0",
          "x-minute-left": "0",
          "x-minute-ends": String(now + 700)
        },
        dialect
      ),
      [spent("day", 86_400_000), spent("minute", 700)]
    )
  })

  it("believes its window only where the header that should tell is not there", () => {
    const quotas = [{ remaining: "left", reset: "ends", window: "1 minute" }] as const

    assert.deepStrictEqual(read({ left: "0" }, { quotas }), [spent("", 60_000)])
    assert.deepStrictEqual(read({ left: "0", ends: "soon" }, { quotas }), [])
  })
})

describe("Dialect.refusalScope", () => {
  const scope = (dialect: Dialect.Dialect, headers: Record<string, string> = {}) =>
    Dialect.refusalScope(Dialect.resolve(dialect), Headers.fromInput(headers))

  it("is the connection unless the dialect says otherwise", () => {
    assert.deepStrictEqual(
      [Dialect.standard, Dialect.github, Dialect.slack, Dialect.sendgrid].map((dialect) => scope(dialect)),
      ["connection", "connection", "operation", "operation"]
    )
  })

  it("is what the answer's reason means", () => {
    const reasons = ["global-rate", "global-concurrency", "endpoint-rate", "endpoint-concurrency", "resource-specific"]

    assert.deepStrictEqual(
      [...reasons, "something new", "constructor", " endpoint-rate "].map((reason) =>
        scope(Dialect.stripe, { "Stripe-Rate-Limited-Reason": reason })
      ),
      ["connection", "connection", "operation", "operation", "call", "connection", "connection", "operation"]
    )
    assert.strictEqual(scope(Dialect.stripe), "connection")
  })
})

describe("Dialect.refusalMillis", () => {
  const millis = (dialect: Dialect.Dialect, headers: Record<string, string>) =>
    Dialect.refusalMillis(Dialect.resolve(dialect), read(headers, dialect))

  it("is until the last of the limits that are spent starts anew", () => {
    assert.strictEqual(millis(Dialect.standard, { ratelimit: '"a";r=0;t=5, "b";r=0;t=9, "c";r=1;t=99' }), 9000)
  })

  it("is what the dialect says where nothing is spent, or unknown", () => {
    assert.strictEqual(millis(Dialect.github, { "x-ratelimit-remaining": "12", "x-ratelimit-reset": "60" }), 60_000)
    assert.isUndefined(millis(Dialect.standard, { ratelimit: '"a";r=1;t=5' }))
  })
})

describe("Dialect.problemOf", () => {
  it("names the field and the rule", () => {
    const wrong: ReadonlyArray<readonly [Dialect.Dialect, string]> = [
      [
        { quotas: [{ remaining: "left over", reset: "r" }] },
        'dialect.quotas[0].remaining must be the name of a header, got "left over"'
      ],
      [
        { quotas: [{ remaining: "l", reset: "r", nameHeader: "" }] },
        'dialect.quotas[0].nameHeader must be the name of a header, got ""'
      ],
      [{ quotas: [{ remaining: "l" }] }, "dialect.quotas[0] must have reset or window: nothing could be learned"],
      [
        { quotas: [{ remaining: "l", window: 0 }] },
        "dialect.quotas[0].window must be longer than zero, and 31 days at most"
      ],
      [{ refusals: { wait: "32 days" } }, "dialect.refusals.wait must be longer than zero, and 31 days at most"],
      [
        { refusals: { reason: { header: "a:b", scopes: {} } } },
        'dialect.refusals.reason.header must be the name of a header, got "a:b"'
      ],
      [{ concurrency: { header: "" } }, 'dialect.concurrency.header must be the name of a header, got ""']
    ]
    for (const [dialect, message] of wrong) assert.strictEqual(Dialect.problemOf(dialect)?.join(" "), message)
  })

  it("has nothing to say of those that have names", () => {
    const { github, openai, sendgrid, slack, standard, stripe, twilio } = Dialect
    for (const dialect of [github, openai, sendgrid, slack, standard, stripe, twilio])
      assert.isUndefined(Dialect.problemOf(dialect))
  })
})

describe("Dialect.quotas of anything", () => {
  const dialects = [Dialect.standard, Dialect.github, Dialect.openai, Dialect.sendgrid]
  const names = [
    "ratelimit",
    "ratelimit-policy",
    "date",
    ...new Set(dialects.flatMap(({ quotas = [] }) => quotas.flatMap((each) => Object.values(each).map(String))))
  ]
  const Value = Schema.Union([
    Schema.String,
    Schema.Literals(["0", "1", "60", "1790000060", "1790000060000", "6m0s", "-1", "999999999999999", "1s", "core"])
  ])

  it.prop(
    "never throws, is never negative and never beyond its cap, whatever the headers say",
    [Schema.Literals([0, 1, 2, 3]), Schema.Array(Schema.Struct({ name: Schema.Literals(names), value: Value }))],
    ([index, fields]) => {
      const headers = Object.fromEntries(fields.map(({ name, value }) => [name, value]))
      const dialect = Dialect.resolve(dialects[index])
      const told = Dialect.quotas(dialect, { ...Headers.empty, ...headers }, now)

      for (const { limit, name, remaining, resetMillis } of told) {
        assert.isTrue(Number.isInteger(remaining) && remaining >= 0)
        assert.isTrue(resetMillis >= 0 && resetMillis <= longest)
        assert.isTrue(limit === undefined || (Number.isInteger(limit) && limit >= 0))
        assert.isTrue(name.length <= 40)
      }
      const millis = Dialect.refusalMillis(dialect, told)
      assert.isTrue(millis === undefined || (millis >= 0 && millis <= longest))
    },
    { arbitrary: { runs: 3000, size: 30, seed: "any headers" } }
  )
})
