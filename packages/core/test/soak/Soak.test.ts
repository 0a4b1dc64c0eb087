import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { execFile } from "node:child_process"
import { join } from "node:path"
import { promisify } from "node:util"
import { inject } from "vitest"
import * as Soak from "./Soak.ts"

describe("The soak", () => {
  it.live.skipIf(!inject("postgres") || !inject("redis"))(
    "charges each of 500 orders once, while one of two workers is killed each second",
    () =>
      Effect.gen(function* () {
        const report = yield* Soak.run({ commands: 500, kills: 2, seed: 1, patience: 100 }, () => undefined)

        assert.strictEqual(Soak.problemOf(report), undefined, JSON.stringify(report))
        assert.isAtLeast(report.kills, 1)
      }),
    120_000
  )

  it("says in one line what is wrong with the command, and explains itself", async () => {
    const run = async (...args: ReadonlyArray<string>) => {
      try {
        const { stdout } = await promisify(execFile)(process.execPath, [join(import.meta.dirname, "main.ts"), ...args])
        return [0, stdout.split("\n")[0]]
      } catch (error) {
        const { code, stderr } = error as { readonly code: number; readonly stderr: string }
        return [code, stderr]
      }
    }
    const outcomes = await Promise.all([run("--commands", "0"), run("--kills=1e3"), run("--bogus"), run("--help")])

    assert.deepStrictEqual(outcomes, [
      [2, 'soak: --commands must be a whole number from 1 to 100000, got "0"\n'],
      [2, 'soak: --kills must be a whole number from 0 to 600, got "1e3"\n'],
      [2, "soak: Unknown option '--bogus'; --help shows the options\n"],
      [0, "Charges orders through an outbox in PostgreSQL by two worker processes, one of which is killed with"]
    ])
  })
})
