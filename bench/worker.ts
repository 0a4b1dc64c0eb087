/** One variant in a process of its own: runs the batches it is asked for, and says what CPU time they took. */
import type { Batch } from "./batches.ts"

const [variant = "", url = "http://127.0.0.1:1"] = process.argv.slice(2)

/** Each loads only what it measures. */
const variants: Record<string, () => Promise<Batch>> = {
  "undici.request": async () => (await import("./peers.ts")).undici(url),
  "undici + cockatiel + zod": async () => (await import("./peers.ts")).assembled(url),
  "Effect's HttpApiClient": async () => (await import("./peers.ts")).effect(url),
  stripe: async () => (await import("./peers.ts")).stripe(url),
  got: async () => (await import("./peers.ts")).gotten(url),
  Breakwater: async () => (await import("./ours.ts")).tracedOverLoopback(url),
  "Breakwater, with Effect's schema JIT": async () => {
    await import("effect/schema/SchemaJITCompiler/enable")
    return (await import("./ours.ts")).tracedOverLoopback(url)
  },
  "Breakwater, no tracer": async () => (await import("./ours.ts")).overLoopback(url),
  "generated client": async () => (await import("./ours.ts")).bareOverNothing(false),
  "generated client, traced": async () => (await import("./ours.ts")).bareOverNothing(true),
  "protected client": async () => (await import("./ours.ts")).overNothing(),
  "protected client, traced": async () => (await import("./ours.ts")).tracedOverNothing(),
  "bare promise": async () => (await import("./peers.ts")).barePromise(),
  "cockatiel's policies": async () => (await import("./peers.ts")).cockatiel(),
  "bare effect": async () => (await import("./ours.ts")).bareEffect(),
  "protected effect": async () => (await import("./ours.ts")).protectedEffect(),
  "circuit open": async () => (await import("./ours.ts")).circuitOpen(),
  "refused by the provider": async () => (await import("./ours.ts")).refusedByProvider(),
  "retried twice": async () => (await import("./ours.ts")).retriedTwice()
}

const run = await variants[variant]?.()
if (run === undefined) throw new Error(`no variant is named ${variant}`)

process.on("message", async ({ calls, width }: { readonly calls: number; readonly width: number }) => {
  const before = process.cpuUsage()
  await run(calls, width)
  const { system, user } = process.cpuUsage(before)
  process.send?.({ cpuMicros: user + system })
})
process.on("disconnect", () => process.exit())
process.send?.("ready")
