import { defineConfig } from "vitest/config"

const project = (name: string, root: string) => ({
  extends: true as const,
  root,
  test: { name, include: ["test/**/*.test.ts"] }
})

export default defineConfig({
  test: {
    globalSetup: "vitest.services.ts",
    // For a machine that is busy with other things: no test is told apart from another by its time.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    projects: [
      project("core", "packages/core"),
      project("providers", "packages/providers"),
      project("testkit", "packages/testkit"),
      project("examples", "examples")
    ]
  }
})
