/** Real processes that share a rate over Redis. */
import { assert, describe, it } from "@effect/vitest"
import { PresenceStore } from "@breakwater/core/PresenceStore"
import { Effect, Queue } from "effect"
import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { inject } from "vitest"
import { inRedis } from "../store/support/Adapters.ts"

const prefix = `t_fleet_${process.pid}`
const script = fileURLToPath(new URL("../store/support/FleetProcess.ts", import.meta.url))

/** A process, with the shares that it had so far, each once. It is killed at the end of the test. */
const start = Effect.gen(function* () {
  const shares = yield* Queue.unbounded<string>()
  const child = yield* Effect.acquireRelease(
    Effect.sync(() => execFile(process.execPath, [script, prefix])),
    (each) => Effect.sync(() => void each.kill("SIGKILL"))
  )
  child.stdout?.on("data", (text: string) => Queue.offerAllUnsafe(shares, text.trim().split("\n")))
  /** Waits until its share is so much, whatever it was on the way. */
  const comesTo = (share: string) =>
    Effect.gen(function* () {
      while ((yield* Queue.take(shares)) !== share);
    }).pipe(Effect.timeout("20 seconds"))
  return { comesTo, end: (signal: NodeJS.Signals) => Effect.sync(() => void child.kill(signal)) }
})

describe.skipIf(!inject("redis"))("Fleet.layer, of real processes over Redis", () => {
  it.live(
    "has half of the limit in each of two, and all of it again when one was killed, or has ended in order",
    () =>
      Effect.gen(function* () {
        const stays = yield* start
        yield* stays.comesTo("1")
        for (const signal of ["SIGKILL", "SIGTERM"] as const) {
          const goes = yield* start
          yield* goes.comesTo("0.5")
          yield* stays.comesTo("0.5")
          yield* goes.end(signal)
          yield* stays.comesTo("1")
        }
        const store = yield* PresenceStore
        const there = yield* store.beat({ group: "wallet/-/default", member: "test", ttlMillis: 1000 })

        assert.strictEqual(there, 2)
      }).pipe(Effect.scoped, Effect.provide(inRedis(prefix))),
    60_000
  )
})
