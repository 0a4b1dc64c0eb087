import { assert, it as plain, describe } from "@effect/vitest"
import { Call, IdMap } from "@breakwater/core"
import { LeaseStore, memory as leases } from "@breakwater/core/LeaseStore"
import { LinkStore, memory as links } from "@breakwater/core/LinkStore"
import * as Stores from "@breakwater/core/Stores"
import { Mode, Process, Simulation, Vitest } from "@breakwater/testkit"
import { Context, Effect } from "effect"
import { inScenario, run, toEnd } from "../support/Scenario.ts"
import { complete } from "../store/support/Adapters.ts"

const it = Vitest.extend(plain)

for (const { layer, name, skip } of complete("idmap")) {
  describe.skipIf(skip)(`IdMap.upsert in ${name}`, () => {
    it.layer(layer, { excludeTestServices: true })((it) => {
      it.effect("creates once, however many ask at once, and brings up to date what is there", () =>
        Effect.gen(function* () {
          const customers = yield* IdMap.make({ scope: "crm.customers" })
          const keys: Array<string> = []
          const updated: Array<string> = []
          const upsert = customers.upsert("e1", {
            create: (key) =>
              Effect.sync(() => {
                keys.push(key)
                return `i${keys.length}`
              }).pipe(Effect.tap(Effect.yieldNow)),
            update: (internal) => Effect.sync(() => updated.push(internal))
          })
          const upserted = yield* Effect.all(
            Array.from({ length: 20 }, () => upsert),
            { concurrency: "unbounded" }
          )

          assert.strictEqual(keys.length, 1)
          assert.match(keys[0] ?? "", /^link-[0-9a-f]{64}$/u)
          assert.strictEqual(upserted.filter(({ created }) => created).length, 1)
          assert.deepStrictEqual([...new Set(upserted.map(({ internal }) => internal))], ["i1"])
          assert.strictEqual(updated.join(), Array.from({ length: 19 }, () => "i1").join())
          assert.deepStrictEqual(
            [yield* customers.find("e1"), yield* customers.findExternal("i1"), yield* customers.find("e2")],
            ["i1", "e1", undefined]
          )
          assert.strictEqual((yield* Effect.flip(customers.link("e2", "i1")))._tag, "LinkTaken")
        })
      )
    })
  })
}

describe("IdMap.upsert", () => {
  const made = IdMap.make({ scope: "s", lease: "30 seconds", wait: "10 seconds" })

  plain.effect("waits for whoever creates the same, no longer than it may, nor than its deadline", () =>
    inScenario(
      Effect.gen(function* () {
        const ids = yield* made
        const slow = ids.upsert("e1", { create: () => Effect.delay(Effect.succeed("i1"), "9 seconds") })
        const stuck = ids.upsert("e2", { create: () => Effect.never })
        const other = (external: string) => ids.upsert(external, { create: () => Effect.die("a second one") })
        const waited = yield* run(Effect.all([slow, other("e1")], { concurrency: 2 }))
        const busy = yield* run(Effect.raceFirst(stuck, Effect.flip(other("e2"))))
        const late = yield* run(Effect.raceFirst(stuck, Effect.flip(Call.withDeadline(other("e2"), "1 second"))))

        assert.deepStrictEqual(waited, {
          outcome: {
            value: [
              { internal: "i1", created: true },
              { internal: "i1", created: false }
            ]
          },
          took: 9550
        })
        assert.strictEqual((busy.outcome as { value: { problem: string } }).value.problem, "busy")
        assert.strictEqual(busy.took, 9550)
        assert.strictEqual(late.took, 750)
      }).pipe(Effect.provide(Stores.layerMemory()))
    )
  )

  plain.effect("leaves nothing behind when creating fails, and says so when it took longer than the lease", () =>
    inScenario(
      Effect.gen(function* () {
        const ids = yield* made
        const failed = yield* Effect.flip(ids.upsert("e1", { create: () => Effect.fail("no") }))
        const next = yield* ids.upsert("e1", { create: () => Effect.succeed("i1") })
        const slow = ids.upsert("e2", { create: () => Effect.delay(Effect.succeed("old"), "31 seconds") })
        const quick = Effect.delay(ids.upsert("e2", { create: () => Effect.succeed("new") }), "30 seconds")
        const { exit } = yield* toEnd(Effect.all([Effect.flip(slow), quick], { concurrency: 2 }))
        assert(exit._tag === "Success")

        assert.deepStrictEqual([failed, next], ["no", { internal: "i1", created: true }])
        assert.deepStrictEqual(
          [exit.value[0]._tag, exit.value[1], yield* ids.find("e2")],
          ["LinkTaken", { internal: "new", created: true }, "new"]
        )
        const unlinked = yield* ids.upsert("e1", { create: () => Effect.die("it is there") })
        assert.deepStrictEqual(unlinked, { internal: "i1", created: false })
      }).pipe(Effect.provide(Stores.layerMemory()))
    )
  )

  plain.effect("creates nothing that was linked between the look and the lease", () =>
    Effect.gen(function* () {
      const [linked, leased] = [links(), leases()]
      const acquire = (name: string, millis: number) =>
        Effect.andThen(
          Effect.orDie(linked.link({ scope: "s", external: "e1", internal: "i1" })),
          leased.acquire(name, millis)
        )
      const ids = yield* Effect.provideContext(
        made,
        Context.make(LinkStore, linked).pipe(Context.add(LeaseStore, { ...leased, acquire }))
      )
      const upserted = yield* ids.upsert("e1", { create: () => Effect.die("a second one") })

      assert.deepStrictEqual(upserted, { internal: "i1", created: false })
    })
  )

  plain.effect("keeps nobody waiting for one that was interrupted while it asked for the lease", () =>
    inScenario(
      Effect.gen(function* () {
        const leased = leases()
        // The answer takes its time.
        const acquire = (name: string, millis: number) =>
          Effect.tap(leased.acquire(name, millis), Effect.sleep("1 second"))
        const ids = yield* Effect.provideContext(
          made,
          Context.make(LinkStore, links()).pipe(Context.add(LeaseStore, { ...leased, acquire }))
        )
        const upsert = ids.upsert("e1", { create: () => Effect.succeed("i1") })
        const { outcome, took } = yield* run(Effect.andThen(Effect.timeoutOption(upsert, "500 millis"), upsert))

        assert.deepStrictEqual([outcome, took], [{ value: { internal: "i1", created: true } }, 2000])
      })
    )
  )

  plain("refuses times that are none, and a scope that cannot be kept", () => {
    for (const wrong of [{ lease: 0 }, { wait: "-1 seconds" as const }, { scope: "" }])
      assert.throws(
        () => Effect.runSync(Effect.provide(IdMap.make({ scope: "s", ...wrong }), Stores.layerMemory())),
        RangeError
      )
  })
})

interface World {
  readonly context: Context.Context<LinkStore | LeaseStore>
  /** What was created, by its key. */
  readonly created: Map<string, string>
  creates: number
}

/** Two processes that bring the same record in, each of which may be killed and starts again. */
const syncing = (maxKills: number) =>
  Simulation.make({
    name: `two processes that sync, ${maxKills} kills`,
    world: Effect.sync((): World => ({
      context: Context.make(LinkStore, links()).pipe(Context.add(LeaseStore, leases())),
      created: new Map(),
      creates: 0
    })),
    program: (world) => {
      const create = (key: string) =>
        Effect.gen(function* () {
          yield* Effect.sleep("10 millis")
          world.creates++
          const id = world.created.get(key) ?? `i${world.created.size + 1}`
          world.created.set(key, id)
          yield* Effect.sleep("10 millis")
          return id
        })
      const life = Effect.gen(function* () {
        const ids = yield* IdMap.make({ scope: "crm", wait: "1 minute" })
        yield* ids.upsert("e1", { create })
      }).pipe(Effect.provide(world.context), Effect.orDie)
      return Effect.gen(function* () {
        const first = yield* Process.start("first", life, { maxKills })
        const second = yield* Process.start("second", life, { maxKills })
        yield* first.join
        yield* second.join
      })
    },
    invariant: ({ world }) => {
      if (world.created.size !== 1) return `${world.created.size} were created`
      if (maxKills === 0 && world.creates !== 1) return `creating was tried ${world.creates} times`
      return undefined
    },
    sometimes: maxKills === 0 ? {} : { "it is created again": ({ world }) => world.creates > 1 }
  })

describe("Two processes that sync", () => {
  it.simulate(
    "create once, whoever is overtaken where",
    syncing(0),
    Mode.exhaustive({ deviations: 2, preemption: "every-op" })
  )
  it.simulate("create once under one key, whoever is killed where", syncing(1), Mode.exhaustive({ deviations: 2 }))
})
