/** The tests of the policies' state machines: pure, so that each mutant of them is judged in an instant. For `pnpm mutation`. */
import { readdirSync } from "node:fs"
import { defineConfig } from "vitest/config"

const modules = readdirSync("packages/core/src/policy").map((file) => file.replace(/\.ts$/u, ""))

export default defineConfig({
  test: {
    root: "packages/core",
    testTimeout: 60_000,
    include: [
      "test/regression/172-*.test.ts",
      ...modules.flatMap((module) => [`test/${module}.test.ts`, `test/${module}.model.test.ts`])
    ]
  }
})
