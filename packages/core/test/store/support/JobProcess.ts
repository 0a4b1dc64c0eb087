/** A job as a real process. Its arguments: server, prefix, job, whether the provider has keys, and the file in which the provider writes what it does. */
import * as Stores from "@breakwater/core/Stores"
import * as KillPoint from "@breakwater/testkit/node/KillPoint"
import { Effect, Layer } from "effect"
import { appendFileSync, existsSync, readFileSync } from "node:fs"
import { postgresClient, redisClient } from "./Clients.ts"
import type { Provider } from "./Jobs.ts"
import { sendOnce, workOff } from "./Jobs.ts"

const [, , server = "postgres", prefix = "", job = "", keys = "keyed", file = ""] = process.argv

const provider: Provider = {
  sends: {
    push: (key) => {
      appendFileSync(file, `${key}\n`)
      return 1
    },
    includes: (key) => existsSync(file) && readFileSync(file, "utf8").split("\n").includes(key)
  },
  keyed: keys === "keyed",
  leaseMillis: 1000
}

const postgres = Stores.layerPostgres({ prefix }).pipe(Layer.provide(postgresClient))
const redis = Stores.layerRedis({ prefix }).pipe(Layer.provide(redisClient))

const commands = ["1", "2", "3"].map((each) => `${job}/${each}`)
const sending = sendOnce(provider, job)
const sent = server === "redis" ? Effect.provide(sending, redis) : Effect.provide(sending, postgres)
const worked = Effect.provide(workOff(provider, commands, job), postgres)

const program: Effect.Effect<void, unknown> = job.startsWith("send") ? sent : worked
await Effect.runPromise(Effect.provide(program, KillPoint.layer))
