import { defineConfig } from "vitest/config"

const project = (name: string, root: string) => ({
  extends: true as const,
  root,
  test: { name, include: ["test/**/*.test.ts"] }
})

export default defineConfig({
  test: {
    globalSetup: "vitest.services.ts",
    projects: [
      project("core", "packages/core"),
      project("providers", "packages/providers"),
      project("testkit", "packages/testkit"),
      project("examples", "examples")
    ]
  }
})
