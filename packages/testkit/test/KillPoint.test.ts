import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as KillPoint from "@breakwater/testkit/node/KillPoint"
import * as Serve from "@breakwater/testkit/node/Serve"
import { SimulatedStripe } from "@breakwater/testkit"
import { only } from "./support/Cases.ts"
import * as Shop from "./support/Shop.ts"

const folder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "kill-point-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true }))
)

/** What the provider's ledger says after the real process was killed at each moment of the simulated one. */
const sweep = Effect.fnUntraced(function* (manner: Shop.Manner) {
  const script = new URL("support/ShopProcess.ts", import.meta.url)
  const problems: Array<string> = []
  for (const moment of KillPoint.moments(Shop.checkout(manner), "checkout")) {
    const stripe = yield* SimulatedStripe.make()
    const { url } = yield* Serve.make(stripe)
    const args = [manner, join(yield* folder, "shop.sqlite"), url]
    const { ended, killed } = yield* KillPoint.run(moment, { script, args })
    assert.deepStrictEqual([killed.code, killed.signal, ended.code], [undefined, "SIGKILL", 0])
    problems.push(`${moment.point}#${moment.occurrence}: ${Shop.chargedOnce({ stripe }) ?? "charged once"}`)
  }
  return problems
})

describe("KillPoint.moments", () => {
  it("is what the undisturbed simulation passes", () => {
    assert.deepStrictEqual(KillPoint.moments(Shop.checkout("keyless"), "checkout"), [
      { point: "charged", occurrence: 0 }
    ])
  })

  it("refuses a process that passes nothing, and a run that fails", () => {
    const failing = { ...Shop.checkout("keyed"), invariant: () => "something is wrong" }

    assert.throws(
      () => KillPoint.moments(only(Effect.void), "checkout"),
      RangeError,
      `process "checkout" passes no Process.point`
    )
    assert.throws(
      () => KillPoint.moments(failing, "checkout"),
      RangeError,
      "the undisturbed run fails: something is wrong"
    )
  })
})

describe("KillPoint.run", () => {
  it.live(
    "shows with real processes what the simulation found, and nothing where the charge has a key",
    () =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* sweep("keyless"), ["charged#0: charged 2 times"])
        assert.deepStrictEqual(yield* sweep("too early"), ["marked#0: charged 0 times"])
        assert.deepStrictEqual(yield* sweep("keyed"), ["charged#0: charged once"])
      }),
    60_000
  )

  it.live(
    "kills at the n-th time that a point is passed, and only on the first start",
    () =>
      Effect.gen(function* () {
        const script = new URL("support/Counting.ts", import.meta.url)
        const { ended, killed } = yield* KillPoint.run({ point: "round", occurrence: 2 }, { script })

        assert.deepStrictEqual([killed.output, ended], ["..", { code: 0, signal: undefined, output: "..." }])
      }),
    60_000
  )

  it.live(
    "fails where the script does not die, or does not come through",
    () =>
      Effect.gen(function* () {
        const path = yield* folder
        const script = (name: string, text: string) => {
          const file = join(path, `${name}.mjs`)
          writeFileSync(file, text)
          return Effect.flip(
            KillPoint.run(
              { point: "here", occurrence: 1 },
              { script: file, timeout: name === "hangs" ? 300 : "1 minute" }
            )
          )
        }
        const kill = `if (process.env.BREAKWATER_KILL_AT === "here#1") process.kill(process.pid, "SIGKILL")`
        const errors = [
          yield* script("passes", `console.log("nothing to do")`),
          yield* script("breaks", `${kill}; console.error("broken"); process.exit(3)`),
          yield* script("hangs", "setInterval(() => undefined, 1000)")
        ]

        assert.deepStrictEqual(
          errors.map(({ message, output }) => [message, output]),
          [
            ["here#1: it did not die there, but exited with 0", "nothing to do\n"],
            ["here#1: started again, it exited with 3", "broken\n"],
            ["here#1: it did not end within 300ms", ""]
          ]
        )
      }),
    60_000
  )
})
