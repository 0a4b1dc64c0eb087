/** A real process that passes one point three times, and writes how often it did. */
import { Process } from "@breakwater/testkit"
import * as KillPoint from "@breakwater/testkit/node/KillPoint"
import { Effect } from "effect"
import { writeSync } from "node:fs"

const round = Effect.andThen(
  Process.point("round"),
  Effect.sync(() => void writeSync(1, "."))
)

await Effect.runPromise(Effect.replicateEffect(round, 3).pipe(Effect.provide(KillPoint.layer)))
