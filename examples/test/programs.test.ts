import { assert, describe, it } from "@effect/vitest"
import { execFile } from "node:child_process"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { promisify } from "node:util"
import { vi } from "vitest"

const run = async (...args: ReadonlyArray<string>) => {
  const [file = "", ...rest] = args
  try {
    const { stderr, stdout } = await promisify(execFile)(
      process.execPath,
      [join(import.meta.dirname, "..", file), ...rest],
      { timeout: 30_000 }
    )
    return { code: 0, stderr, stdout }
  } catch (error) {
    const { code, stderr, stdout } = error as { code: number; stderr: string; stdout: string }
    return { code, stderr, stdout }
  }
}

vi.setConfig({ testTimeout: 60_000 })

describe("01-get-json (SYS-1)", () => {
  it("tries twice in vain, then has the data; and says ECONN where nobody listens", async () => {
    const { code, stdout } = await run("01-get-json.ts")

    assert.strictEqual(code, 0)
    assert.strictEqual(stdout.match(/error_code: 'HTTP_502'/gu)?.length, 2)
    assert.match(stdout, /\{ ok: true, data: \{ requests: 3 \} \}/u)
    assert.strictEqual(stdout.match(/error_code: 'ECONN'/gu)?.length, 4)
    assert.match(stdout, /ok: false,\s+code: 'ECONN'/u)
    assert.strictEqual(stdout.match(/correlation_id: 'search-1'/gu)?.length, 3)
  })
})

describe("02-orders (SYS-1, IDEM-3)", () => {
  it("gets the existing order after the answer was lost, and makes no second one", async () => {
    const { code, stdout } = await run("02-orders.ts")

    assert.strictEqual(code, 0)
    assert.match(stdout, /\{"id":"8731","item":"a pier"\}; orders stored: 1/u)
  })
})

describe("03-your-own-provider (TEST-2)", () => {
  it("pays once, whatever strikes the first attempt", async () => {
    const { code, stdout } = await run("03-your-own-provider.ts")

    assert.strictEqual(code, 0)
    assert.deepStrictEqual(
      stdout.split("\n").filter((line) => line.endsWith("payout")),
      ["none", "refused", "reset before", "lost response", "truncated after 50 %", "garbage", "status 503"].map(
        (fault) => `${fault}: 1 payout`
      )
    )
  })
})

describe("04-incidents (OBS-1, OBS-2)", () => {
  it("prints the same each time, and docs/incident.md has it", async () => {
    const [{ code, stdout }, again] = [
      await run("04-incidents.ts", "circuit-open"),
      await run("04-incidents.ts", "circuit-open")
    ]
    const document = readFileSync(join(import.meta.dirname, "../../docs/incident.md"), "utf8")

    assert.strictEqual(code, 0)
    assert.strictEqual(again.stdout, stdout)
    assert.include(document, stdout)
  })

  it("says which incidents there are, and ends with 2", async () => {
    assert.deepStrictEqual(await run("04-incidents.ts", "flood"), {
      code: 2,
      stderr: "incidents: name one of circuit-open, rate-limit, outcome-unknown, key-rotated\n",
      stdout: ""
    })
  })
})

describe("05-mail (SYS-4)", () => {
  it("sends one e-mail, whatever strikes the first request, and looks where that is in doubt", async () => {
    const { code, stdout } = await run("05-mail.ts")

    assert.strictEqual(code, 0)
    assert.match(stdout, /sendgrid\.mail\.send \(unsafe\)\n\s+deadline 30s, connect 1s, silence 3s/u)
    assert.deepStrictEqual(
      stdout.split("\n").filter((line) => line.endsWith("in doubt")),
      [
        ...["none", "refused", "status 429"].map((fault) => `${fault}: 1 e-mail, never in doubt`),
        ...["reset before", "lost response", "status 503", "status 500, processed"].map(
          (fault) => `${fault}: 1 e-mail, once in doubt`
        )
      ]
    )
  })
})

describe("06-outbox (DEGR-2)", () => {
  it("takes orders while the provider is down, and charges each once when it is back", async () => {
    const { code, stdout } = await run("06-outbox.ts")
    const lines = stdout.trim().split("\n")

    assert.strictEqual(code, 0)
    assert.match(lines[2] ?? "", /^order 8731: done, \d attempts$/u)
    assert.match(lines[3] ?? "", /^order 8732: dead, \d attempts; card refused: card_declined/u)
    assert.deepStrictEqual(
      [0, 1, 4, 6].map((line) => lines[line]),
      [
        "order 8730: not taken: outbox store, add: invalid: the payload must have at most 1048576 bytes, has more",
        "order 8731: accepted, 0 attempts",
        "dead: order 8732",
        "charges at Stripe: 1"
      ]
    )
  })
})

describe("checkout", () => {
  it("says in one line what is wrong with the command, and ends with 2", async () => {
    const lines = [
      [["--orders", "-3"], 'demo: --orders must be a whole number from 1 to 5000, got "-3"'],
      [["--orders=1e3"], 'demo: --orders must be a whole number from 1 to 5000, got "1e3"'],
      [["--port", "70000"], 'demo: --port must be a whole number from 0 to 65535, got "70000"'],
      [["--provider", "paypal"], 'demo: --provider must be stripe or bank, got "paypal"'],
      [["--admin-port", "65536"], 'demo: --admin-port must be a whole number from 0 to 65535, got "65536"'],
      [["--admin-port", "-1"], 'demo: --admin-port must be a whole number from 0 to 65535, got "-1"'],
      [["--otlp", "localhost:4318"], 'demo: --otlp must be an http or https URL, got "localhost:4318"'],
      [["--otlp", ""], 'demo: --otlp must be an http or https URL, got ""'],
      [["--bogus"], "demo: Unknown option '--bogus'; --help shows the options"],
      [["extra"], "demo: Unexpected argument 'extra'; --help shows the options"]
    ] as const
    const outcomes = await Promise.all(lines.map(([args]) => run("checkout/main.ts", ...args)))

    assert.deepStrictEqual(
      outcomes,
      lines.map(([, line]) => ({ code: 2, stderr: `${line}\n`, stdout: "" }))
    )
  })

  it("explains itself", async () => {
    const { code, stdout } = await run("checkout/main.ts", "--help")

    assert.strictEqual(code, 0)
    for (const option of ["seed", "orders", "provider", "port", "admin-port", "otlp", "json", "help"])
      assert.include(stdout, `  --${option} `)
  })
})

describe("07-answers (CACHE-1, DEGR-1)", () => {
  it("shows the last rate and its age for as long as declared, and then that there is none", async () => {
    const { code, stdout } = await run("07-answers.ts")

    assert.strictEqual(code, 0)
    assert.deepStrictEqual(stdout.trim().split("\n"), [
      "EURUSD 1.08 (live, 0 old)",
      "EURUSD 1.08 (cached, 3m old)",
      "EURUSD 1.08 (stale, 30m old, since transport failed with ECONNREFUSED)",
      "no rate: transport failed with ECONNREFUSED",
      "no rate: transport failed with ECONNREFUSED",
      "EURUSD 1.08 (live, 0 old)"
    ])
  })
})
