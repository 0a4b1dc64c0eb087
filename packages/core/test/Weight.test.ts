import { assert, describe, it } from "@effect/vitest"
import { fileURLToPath } from "node:url"
import { rolldown } from "rolldown"

/** Our modules, such as `call/Call`, of which something is left in the bundle of a program. */
const bundled = async (program: string): Promise<ReadonlyArray<string>> => {
  const entry = fileURLToPath(new URL("program.ts", import.meta.url))
  const bundle = await rolldown({
    input: entry,
    platform: "neutral",
    external: /^(?:effect|structured-headers)(?:\/|$)/u,
    plugins: [
      { name: "program", resolveId: (id) => (id === entry ? id : null), load: (id) => (id === entry ? program : null) }
    ]
  })
  const { output } = await bundle.generate({ format: "esm" })
  return output.flatMap((chunk) =>
    chunk.type === "chunk"
      ? Object.entries(chunk.modules).flatMap(([id, { code }]) =>
          code === null || code === "" ? [] : [id.replace(/^.*\/src\//u, "").replace(/\.ts$/u, "")]
        )
      : []
  )
}

describe("Call, as it is bundled", () => {
  const needless = [
    "call/Client",
    "call/ResponseDecoding",
    "call/StreamedBody",
    "call/StreamedResponse",
    "definition/LintRules",
    "definition/Operation",
    "definition/PolicyExplanation",
    "definition/PolicyLint",
    "definition/Provider",
    "vocabulary/PlatformApi",
    "vocabulary/Safety"
  ]

  it("a protected client holds neither streamed bodies, nor what declares an API, nor what is written about a policy", async () => {
    const modules = await bundled(`import * as Call from "../src/call/Call.ts"; export const layer = Call.layer`)

    assert.include(modules, "call/Pipeline")
    assert.deepStrictEqual(
      needless.filter((module) => modules.includes(module)),
      []
    )
  })

  it("so does a protected effect", async () => {
    const modules = await bundled(
      `import * as Call from "../src/call/Call.ts"; export const connect = Call.connect; export const protect = Call.protect`
    )

    assert.include(modules, "call/EffectAttempt")
    assert.deepStrictEqual(
      needless.filter((module) => modules.includes(module)),
      []
    )
  })
})
