import { assert, describe, it } from "@effect/vitest"
import type * as CallPolicy from "@breakwater/core/CallPolicy"
import * as PolicyFields from "@breakwater/core/PolicyFields"
import * as PolicyRules from "@breakwater/core/PolicyRules"
import * as PolicyVariables from "@breakwater/core/PolicyVariables"
import { ConfigProvider, Duration, Effect, Result } from "effect"
import { readFileSync } from "node:fs"
import { join } from "node:path"

const read = (variables: Record<string, string>, provider = "acme") =>
  PolicyVariables.read(provider).pipe(
    Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromUnknown(variables))
  )

/** Something that each kind of field can hold, other than its default, and what a policy then holds. */
const samples = {
  time: ["1500 millis", 1500],
  count: ["7", 7],
  number: ["0.7", 0.7],
  flag: ["true", true],
  list: ["breaker, rate", "breaker,rate"]
} as const

/** Where the sample of a kind is no value of the field, or what goes with it. */
const others: Readonly<Record<string, readonly [string, unknown, Record<string, string>?]>> = {
  "throttle.ratio": ["3.5", 3.5],
  "breaker.openFor": ["1 second", 1000],
  "breaker.maxOpenFor": ["10 minutes", 600_000],
  "bulkhead.adaptive.minimum": ["7", 7],
  "breaker.minimumCalls": ["7", 7],
  "backoff.cap": ["10 seconds", 10_000],
  "rate.alarmAt": ["0.7", 0.7]
}

const held = (policy: CallPolicy.CallPolicy): PolicyFields.Held => ({
  policy: Result.getOrThrow(PolicyRules.resolve("acme", policy)),
  written: policy
})

describe("PolicyVariables.read", () => {
  it.effect.each(PolicyFields.all.map((field) => [field.name, field] as const))(
    "gives %s the value of its variable",
    ([name, field]) =>
      Effect.gen(function* () {
        const [text, value] = others[name] ?? samples[field.kind]
        const variable = `ACME_${PolicyVariables.variableOf(name)}`
        const { policy, variables } = yield* read({ [variable]: text })
        const shown = field.of(held(policy))

        assert.strictEqual(Array.isArray(shown) ? shown.join(",") : shown, value)
        assert.deepStrictEqual([...variables], [[name, variable]])
        assert.notStrictEqual(field.of(held({})), value)
      })
  )

  it.effect("gives nothing where nothing is said", () =>
    Effect.map(read({}), (configured) => assert.deepStrictEqual(configured, PolicyVariables.none))
  )

  it.effect("asks for what does nothing unless it is asked for, with its defaults, or with what is said of it", () =>
    Effect.gen(function* () {
      const { policy } = yield* read({
        ACME_THROTTLE: "true",
        ACME_HEDGE: "true",
        ACME_HEDGE_PERCENTILE: "0.9",
        ACME_ADAPTIVE: "true",
        ACME_CONCURRENCY: "10"
      })

      assert.deepStrictEqual(policy, {
        bulkhead: { concurrency: 10, adaptive: {} },
        hedge: { percentile: 0.9 },
        throttle: {}
      })
    })
  )

  it.effect("switches it off, whatever is said of it beside", () =>
    Effect.gen(function* () {
      const { policy } = yield* read({
        ACME_THROTTLE: "false",
        ACME_HEDGE: "off",
        ACME_HEDGE_PERCENTILE: "0.9",
        ACME_ADAPTIVE: "no",
        ACME_CONCURRENCY: "10"
      })

      assert.deepStrictEqual(policy, { bulkhead: { concurrency: 10, adaptive: false }, hedge: false, throttle: false })
    })
  )

  it.effect("reads the variables of a name of two words", () =>
    Effect.gen(function* () {
      const { policy } = yield* read({ TWO_WORDS_DEADLINE: "9 seconds", ACME_DEADLINE: "1 second" }, "two-words")

      assert.isTrue(Duration.equals(Duration.fromInputUnsafe(policy.deadline ?? 0), Duration.seconds(9)))
    })
  )

  it.effect("names the variable whose value it cannot read", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(read({ ACME_BREAKER_OPEN_FOR: "soon" }))

      assert.match(error.message, /ACME_BREAKER_OPEN_FOR/u)
    })
  )
})

describe("PolicyVariables.variableOf", () => {
  it("says each field in another way", () => {
    const variables = [...PolicyFields.all.map(({ name }) => name), ...PolicyVariables.asked].map((name) =>
      PolicyVariables.variableOf(name)
    )

    assert.strictEqual(new Set(variables).size, variables.length)
  })
})

describe("PolicyFields.all", () => {
  /** Every value that is somewhere in a resolved policy. */
  const leaves = (value: unknown): number =>
    typeof value === "object" && value !== null
      ? Object.values(value).reduce<number>((sum, each) => sum + leaves(each), 0)
      : 1

  it("has every field of a policy", () => {
    const everything = held({ throttle: {}, hedge: {}, bulkhead: { adaptive: {} } }).policy
    const ofClasses = 4

    // All but the schedule, which is no value, and the four that only classes have.
    assert.strictEqual(PolicyFields.all.length, leaves(everything) - 1 + ofClasses)
  })
})

describe("docs/policies.md", () => {
  const document = readFileSync(join(import.meta.dirname, "../../../docs/policies.md"), "utf8")
  const rows = [...document.matchAll(/^\| `STRIPE_(?<variable>[A-Z_]+)` +\| `(?<field>[\w.]+)` /gmu)].map(
    ({ groups }) => `${groups?.["field"]} ${groups?.["variable"]}`
  )

  it("has a row for each variable, with its field", () => {
    const names = [...PolicyFields.all.map(({ name }) => name), ...PolicyVariables.asked]

    assert.deepStrictEqual(
      rows.toSorted(),
      names.map((name) => `${name} ${PolicyVariables.variableOf(name)}`).toSorted()
    )
  })
})
