import { assert, describe, it } from "@effect/vitest"
import { execFile } from "node:child_process"
import { join } from "node:path"
import { inject, vi } from "vitest"

const run = (
  ...args: ReadonlyArray<string>
): Promise<{ readonly code: unknown; readonly out: string; readonly err: string }> =>
  new Promise((resolve) =>
    execFile(
      process.execPath,
      [join(import.meta.dirname, "../08-workflow.ts"), ...args],
      { timeout: 90_000 },
      (error, out, err) => resolve({ code: error === null ? 0 : error.code, out, err })
    )
  )

vi.setConfig({ testTimeout: 120_000 })

describe("08-workflow (IDEM-1)", () => {
  it.skipIf(!inject("postgres"))(
    "charges once and sends one e-mail, though its process is killed after each of the two",
    async () => {
      const { code, err, out } = await run()

      assert.deepStrictEqual({ code, err }, { code: 0, err: "" })
      // Whether the engine had stored the answer before the kill is a matter of milliseconds.
      assert.match(
        out,
        /^charged, and killed: 0 e-mails\nsent, and killed: 1 e-mail\nstarted again, and ended with 0\n1 charge, 1 e-mail\nasked again: [12] requests at Stripe, 1 e-mail\n$/u
      )
    }
  )

  it("says in one line that it has no database, and ends with 2", async () => {
    const [nobody, nowhere] = [await run("postgresql://postgres@127.0.0.1:1/none"), await run("nonsense")]

    assert.deepStrictEqual(
      [nobody, nowhere],
      [
        { code: 2, out: "", err: "workflow: PgConnection: Failed to connect\n" },
        { code: 2, out: "", err: "workflow: PgConnection: Invalid connection URL\n" }
      ]
    )
  })
})
