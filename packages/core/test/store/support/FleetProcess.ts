/** A process that shares a rate, as a real one: writes down its share whenever that changes, until it is killed or told to end. Its argument is the prefix of the keys. */
import { Call, Fleet, Health } from "@breakwater/core"
import * as Stores from "@breakwater/core/Stores"
import { NodeRuntime } from "@effect/platform-node"
import { Effect, Layer, Schedule } from "effect"
import { redisClient } from "./Clients.ts"

const [, , prefix = ""] = process.argv

const presence = Stores.layerRedis({ prefix }).pipe(Layer.provide(redisClient))

const program = Effect.gen(function* () {
  yield* Call.connect({ provider: "wallet", rate: { limit: 10, window: "1 second" } })
  yield* Layer.build(Layer.provide(Fleet.layer({ every: "200 millis", assumed: 4 }), presence))
  let before: number | null | undefined
  const look = Effect.map(Health.snapshot, ({ connections }) => {
    const share = connections[0]?.rateBudget.share
    if (share !== before) process.stdout.write(`${share}\n`)
    before = share
  })
  yield* Effect.repeat(look, Schedule.spaced("20 millis"))
})

NodeRuntime.runMain(Effect.scoped(program))
