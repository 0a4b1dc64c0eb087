/** What shares of a rate promise, held against processes that come, leave and die anywhere, and a store that fails at any beat. */
import { assert, describe, it as plain } from "@effect/vitest"
import { Call, Fleet } from "@breakwater/core"
import { Connections } from "@breakwater/core/Connections"
import { memory, PresenceStore, place } from "@breakwater/core/PresenceStore"
import { make as storeError } from "@breakwater/core/StoreError"
import { Mode, Process, Simulation, Vitest } from "@breakwater/testkit"
import { Clock, Effect, Layer, Schema } from "effect"

const it = Vitest.extend(plain)

const limit = 6
const windowMillis = 1000
const every = 1000
const ttl = 3 * every

/** A process is there for so long, unless it is killed. */
const lives = { first: [0, 11_000], second: [100, 11_000], third: [2150, 4900] } as const
const ending = 11_000

type Name = keyof typeof lives

interface World {
  readonly store: PresenceStore["Service"]
  readonly sent: Array<readonly [at: number, by: Name]>
  readonly beats: Array<readonly [at: number, by: Name, members: number | undefined]>
  readonly killed: Set<Name>
  startedAt: number
}

const since = ({ startedAt }: World) => Effect.map(Clock.currentTimeMillis, (now) => now - startedAt)

/** The store as one process has it: any beat may fail, before or after it was taken. */
const storeOf = (world: World, by: Name): PresenceStore["Service"] => ({
  ...world.store,
  beat: Effect.fnUntraced(function* (beat) {
    const fate = yield* Simulation.choose(`beat of ${by}`, ["answered", "not heard", "answer lost"])
    const members = fate === "not heard" ? undefined : yield* world.store.beat(beat)
    const answer = fate === "answered" ? members : undefined
    world.beats.push([yield* since(world), by, answer])
    return answer ?? (yield* storeError(place("beat"), "unavailable"))
  })
})

/** Sends as fast as it may, from its birth to its end. */
const life = (world: World, by: Name, burst: number) =>
  Effect.gen(function* () {
    yield* Effect.sleep(lives[by][0])
    const sending = Effect.gen(function* () {
      const presence = Layer.succeed(PresenceStore, storeOf(world, by))
      yield* Layer.build(Layer.provide(Fleet.layer({ every, ttl, assumed: 3 }), presence))
      const provider = yield* Call.connect({ provider: "wallet", rate: { limit, window: windowMillis, burst } })
      // So that nothing is sent before its first beat was answered, or was not.
      yield* Effect.sleep(1)
      const send = Effect.map(since(world), (now) => void world.sent.push([now, by]))
      return yield* Effect.forever(Call.protect(send, { provider, operation: "send", safety: "safe" }))
    })
    yield* Effect.timeoutOption(Effect.scoped(sending), lives[by][1] - lives[by][0])
  }).pipe(Effect.provideService(Connections, new Set()), Effect.orDie)

const names = Object.keys(lives) as ReadonlyArray<Name>

const sentBetween = ({ sent }: World, from: number, until: number): number =>
  sent.filter(([at]) => at >= from && at < until).length

/** When somebody was last heard of. */
const lastOf = ({ beats, sent }: World, name: Name): number =>
  Math.max(0, ...[...sent, ...beats].filter(([, by]) => by === name).map(([at]) => at))

/** When the last of them has joined: its first beat that was answered. */
const joinedAt = ({ beats }: World): number =>
  Math.max(...names.map((name) => beats.find(([, by, members]) => by === name && members !== undefined)?.[0] ?? 0))

const hasFailed = ({ beats }: World): boolean => beats.some(([, , members]) => members === undefined)

/**
 * No more than these leave in any window (ADR 0013): all that is declared, and the burst, or one for each process but one, since they are not in step. Between the first beat of the last to join and the next of
 * the others, which is `every`, or twice that where a beat fails, the newcomer's share comes on top. Whoever goes leaves its debt, a burst of a share at most.
 */
const boundsOf = (burst: number) => {
  const { length } = names
  const steady = limit + Math.max(length, burst) - 1
  return { steady, joining: steady + (limit + burst) / length, leaving: Math.max(1, burst / length) }
}

/** Whether one of them goes in a window: in order, or killed after what is known of it. */
const isLeft = (world: World, from: number): boolean =>
  from + windowMillis > lives.third[1] && from <= lives.third[1]
    ? true
    : [...world.killed].some((name) => {
        const last = lastOf(world, name)
        return from <= last + every && from + windowMillis > last
      })

const tooMany = (world: World, burst: number): string | undefined => {
  const { joining, leaving, steady } = boundsOf(burst)
  const joined = joinedAt(world)
  const settled = joined + (hasFailed(world) ? 2 : 1) * every
  for (const [at, by] of world.sent) {
    if (at < joined) continue
    const count = sentBetween(world, at, at + windowMillis)
    const bound = (at <= settled ? joining : steady) + (isLeft(world, at) ? leaving : 0)
    if (count > bound) return `${count} in the window from ${at}, when ${by} sent: more than ${bound}`
  }
  return undefined
}

/** When each that is over was last heard of, and how much later its share must be in use: at the next beat where it left, after `ttl` where it died. */
const freedAt = (world: World): number =>
  Math.max(
    ...names.map((name) => {
      if (world.killed.has(name)) return lastOf(world, name) + ttl + every
      return lives[name][1] === ending ? 0 : lives[name][1] + every
    })
  )

const tooFew = (world: World): string | undefined => {
  // What a store says first after it has failed makes no share larger: the next beat does.
  const from = freedAt(world) + (hasFailed(world) ? every : 0) + windowMillis
  const windows = Math.floor((ending - from) / windowMillis)
  if (windows < 1) return undefined
  const count = sentBetween(world, from, from + windows * windowMillis)
  const least = windows * limit - names.length
  return count >= least ? undefined : `${count} in the ${windows} windows from ${from}: less than ${least}`
}

const sharing = Simulation.make({
  name: "sharing a rate",
  world: Effect.sync((): World => ({ store: memory(), sent: [], beats: [], killed: new Set(), startedAt: 0 })),
  inputs: { schema: Schema.Int, examples: [1, 5] },
  program: (world, burst) =>
    Effect.gen(function* () {
      world.startedAt = yield* Clock.currentTimeMillis
      for (const name of names) {
        // A process that was killed does not come back.
        const process = yield* Process.start(name, life(world, name, burst), { maxKills: 1, restartAfter: "1 hour" })
        yield* Effect.forkScoped(
          Effect.gen(function* () {
            yield* Effect.sleep(ending)
            if ((yield* process.kills) > 0) world.killed.add(name)
          })
        )
      }
      yield* Effect.sleep(ending + 1)
    }),
  invariant: ({ input, world }) => tooMany(world, input) ?? tooFew(world),
  sometimes: {
    "a beat fails": ({ world }) => hasFailed(world),
    "one dies beside the others": ({ world }) =>
      world.killed.has("second") && world.sent.some(([, by]) => by === "second"),
    "a window holds more than the limit": ({ world }) =>
      world.sent.some(([at]) => sentBetween(world, at, at + windowMillis) > limit)
  },
  quiet: "1 second"
})

describe("Fleet.layer, of three processes", () => {
  it.simulate(
    "sends no more than the limit and the bursts, or one for each other, whoever dies and whichever beat fails, and all of it again when one is gone",
    sharing,
    Mode.exhaustive({ deviations: 1 }),
    120_000
  )

  plain("sends just the limit in each window when nothing goes wrong", () => {
    const counts: Array<number> = []
    const program = Effect.gen(function* () {
      const world: World = {
        store: memory(),
        sent: [],
        beats: [],
        killed: new Set(),
        startedAt: yield* Clock.currentTimeMillis
      }
      yield* Effect.forEach(names, (name) => life(world, name, 1), { concurrency: "unbounded" })
      for (let from = 0; from < ending; from += windowMillis) counts.push(sentBetween(world, from, from + windowMillis))
    })
    Simulation.run(program)

    // The first hears of the second, which came at 100 ms, with its next beat, and both of the third, which came at 2,150 ms and left at 4,900.
    assert.deepStrictEqual(counts, [9, 6, 8, 6, 6, 6, 6, 6, 6, 6, 6])
  })
})
