import { assert, describe, it } from "@effect/vitest"
import { Call, Idempotency, ProviderError, Telemetry } from "@breakwater/core"
import { Effect, Metric } from "effect"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import * as Acme from "../support/Acme.ts"
import * as Fake from "../support/FakeTransport.ts"
import { all } from "../support/Metrics.ts"
import { fatalReasons, retryableReasons } from "../support/Samples.ts"
import { inScenario, run } from "../support/Scenario.ts"

const document = readFileSync(join(import.meta.dirname, "../../../../docs/telemetry.md"), "utf8")

type Row = Readonly<Record<string, string>>

const cells = (line: string): ReadonlyArray<string> =>
  line
    .split("|")
    .slice(1, -1)
    .map((cell) => cell.trim())

/** The rows of every table whose first column has this name. */
const table = (first: string): ReadonlyArray<Row> => {
  const lines = document.split("\n")
  return lines.flatMap((line, index) => {
    const names = cells(line)
    if (names[0] !== first || !/^\| *-/u.test(lines[index + 1] ?? "")) return []
    const end = lines.findIndex((each, at) => at > index && !each.startsWith("|"))
    return lines
      .slice(index + 2, end)
      .map((each) => Object.fromEntries(cells(each).map((cell, column) => [names[column] ?? "", cell])))
  })
}

/** Everything between backticks. */
const quoted = (cell: string | undefined): ReadonlyArray<string> =>
  [...(cell ?? "").matchAll(/`([^`]+)`/gu)].map(([, text = ""]) => text)

const firsts = (first: string): ReadonlyArray<string> => table(first).flatMap((row) => quoted(row[first]))

/** Says by name which row is missing, and which one has nothing to it. */
const agree = (what: string, written: ReadonlyArray<string>, inCode: ReadonlyArray<string>) => {
  const missing = inCode.filter((name) => !written.includes(name))
  const left = written.filter((name) => !inCode.includes(name))
  const twice = written.filter((name, index) => written.indexOf(name) !== index)
  assert.deepStrictEqual(
    { missing, left, twice },
    { missing: [], left: [], twice: [] },
    `docs/telemetry.md: table of ${what}`
  )
}

const kinds: Readonly<Record<string, string>> = { Counter: "counter", Gauge: "gauge", Histogram: "histogram" }

const valuesOf = (name: string): ReadonlyArray<string> =>
  table("values of")
    .filter((row) => quoted(row["values of"])[0] === name)
    .flatMap((row) => quoted(row["are"]))

describe("docs/telemetry.md", () => {
  it("has a row for each field of a log line, and no other", () => {
    agree("log fields", firsts("field"), Object.values(Telemetry.field))
  })

  it("has a row for each attribute, and no other", () => {
    agree("attributes", firsts("attribute"), Object.values(Telemetry.attribute))
  })

  it("has a row for each event of a span, and no other", () => {
    const { wait, ...others } = Telemetry.event
    const waits = Telemetry.waitsFor.map((what) => `${wait}.${what}`)

    agree("events", firsts("event"), [...waits, ...Object.values(others)])
  })

  it("has a row for each metric, and no other", () => {
    agree(
      "metrics",
      firsts("metric"),
      all.map(({ id }) => id)
    )
  })

  it.each(all.map((metric) => [metric.id, metric] as const))("has kind, unit and name of %s", (id, metric) => {
    const row = table("metric").find((each) => quoted(each["metric"])[0] === id) ?? {}

    assert.strictEqual(row["kind"], kinds[metric.type])
    assert.deepStrictEqual(quoted(row["unit"]), [metric.attributes?.["unit"] ?? "no unit: set the attribute"])
    assert.deepStrictEqual(quoted(row["in Prometheus"]), [Telemetry.prometheusName(id)])
    for (const label of quoted(row["labels"]))
      assert.include<string>(Object.values(Telemetry.attribute), label, `label of ${id}`)
  })

  it("has every value of the labels that have a closed list", () => {
    agree("outcomes", valuesOf("breakwater.outcome"), [
      ...Telemetry.outcomes,
      ...Telemetry.refreshed,
      ...Telemetry.hedged,
      ...Telemetry.answered,
      ...Telemetry.reloaded,
      ...Telemetry.streamed,
      ...Telemetry.commanded,
      ...Telemetry.claimed,
      ...Telemetry.resolved
    ])
    agree("waits", valuesOf("breakwater.wait.for"), Telemetry.waitsFor)
    for (const denial of Telemetry.denials) assert.include(valuesOf("breakwater.reason"), denial)
  })

  it("has every error code", () => {
    const codes = [...retryableReasons, ...fatalReasons].map((reason) => ProviderError.errorCode(reason))
    const ours = codes.filter((code) => !code.startsWith("HTTP_"))

    assert.include(firsts("code"), "HTTP_<status>")
    for (const code of ours) assert.include(firsts("code"), code)
  })

  it.effect("has the labels that each metric had in use", () =>
    inScenario(
      Effect.gen(function* () {
        const acme = yield* Acme.connect(
          Fake.make([Fake.empty(401), Fake.json({ id: "o1", amount: 1 }), Fake.empty(404)]),
          {
            policy: { bulkhead: { concurrency: 1, queue: 1 } }
          }
        )
        const sdk = yield* Call.connect({ provider: "sdk" })
        const create = acme.orders.create({ payload: { amount: 1 } })
        yield* run(create.pipe(Idempotency.withKey("a")))
        yield* run(Effect.all([create, create].map(Idempotency.withKey("b")), { concurrency: 2, mode: "result" }))
        yield* run(acme.orders.get({ params: { id: ".." } }))
        const failing = Effect.fail("busy")
        const classify = () => ({ sent: "no" as const })
        yield* run(Call.protect(failing, { provider: sdk, operation: "send", safety: "safe", classify }))

        const common = ["breakwater.provider", "breakwater.operation", "breakwater.environment", "unit"]
        for (const { attributes, id } of yield* Metric.snapshot) {
          const row = table("metric").find((each) => quoted(each["metric"])[0] === id)
          const documented = [...common, ...quoted(row?.["labels"])]
          for (const label of Object.keys(attributes ?? {}))
            assert.include(documented, label, `docs/telemetry.md: labels of ${id}`)
        }
      })
    )
  )
})
