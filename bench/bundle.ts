/** What a program weighs when it is bundled, tree-shaken and minified: what it names of a module, since of one that is taken apart all stays in. Ours is the build in `dist`, as it is published. */
import { join } from "node:path"
import { gzipSync } from "node:zlib"
import { rolldown } from "rolldown"

const root = join(import.meta.dirname, "..")
const core = join(root, "packages/core/dist")

const programs: ReadonlyArray<readonly [name: string, source: string]> = [
  [
    "protected client over fetch: retry, breaker, bulkhead, budgets, timeouts",
    `import * as Call from "${core}/call/Call.js"
     import * as Layer from "effect/Layer"
     import * as FetchHttpClient from "effect/http/FetchHttpClient"
     export const layer = Layer.provide(Call.layer({ provider: "acme" }), FetchHttpClient.layer)`
  ],
  [
    "the same, over a client that the app has",
    `import * as Call from "${core}/call/Call.js"
     export const layer = Call.layer`
  ],
  [
    "protected effect",
    `import * as Call from "${core}/call/Call.js"
     export const connect = Call.connect
     export const protect = Call.protect`
  ],
  [
    "declared provider: the same, with HttpApi and Schema",
    `import * as Client from "${core}/call/Client.js"
     import * as Provider from "${core}/definition/Provider.js"
     export const layer = Client.layer
     export const make = Provider.make`
  ],
  [
    "Effect's client over fetch: retryTransient, withCircuitBreaker, its store in memory",
    `import * as HttpClient from "effect/http/HttpClient"
     import * as CircuitBreaker from "effect/persistence/CircuitBreaker"
     export const breaker = CircuitBreaker.layer
     export const store = CircuitBreaker.layerStoreMemory
     import * as FetchHttpClient from "effect/http/FetchHttpClient"
     export const layer = FetchHttpClient.layer
     export const retryTransient = HttpClient.retryTransient
     export const withCircuitBreaker = HttpClient.withCircuitBreaker`
  ]
]

const weigh = async (source: string): Promise<readonly [minified: number, gzipped: number]> => {
  const entry = "\0entry"
  const bundle = await rolldown({
    input: entry,
    platform: "browser",
    treeshake: true,
    plugins: [
      {
        name: "entry",
        resolveId: (id, importer) =>
          id === entry
            ? entry
            : importer === entry && !id.startsWith("/")
              ? import.meta.resolve(id).slice("file://".length)
              : null,
        load: (id) => (id === entry ? source : null)
      }
    ]
  })
  const { output } = await bundle.generate({ format: "esm", minify: true })
  const code = output.map((chunk) => (chunk.type === "chunk" ? chunk.code : "")).join("")
  return [code.length, gzipSync(code).length]
}

export const rows = async (): Promise<ReadonlyArray<ReadonlyArray<string>>> => {
  const weights = await Promise.all(programs.map(([, source]) => weigh(source)))
  return programs.map(([name], index) => {
    const [minified = 0, gzipped = 0] = weights[index] ?? []
    return [name, (minified / 1024).toFixed(1), (gzipped / 1024).toFixed(1)]
  })
}
