import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Random, Ref, Semaphore } from "effect"
import { mkdtempSync, rmSync } from "node:fs"
import { stat } from "node:fs/promises"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { Fault, FaultMenu, Mode, Plan, Process, Simulation } from "@breakwater/testkit"
import { only } from "./support/Cases.ts"
import * as Shop from "./support/Shop.ts"
import * as SqliteStore from "./support/SqliteStore.ts"

const failureOf = (outcome: Simulation.Outcome) => outcome.failures[0] ?? assert.fail(Simulation.summary(outcome))

const planned = (...keys: ReadonlyArray<string>) => ({
  answers: { _tag: "Planned", decisions: keys.map((key) => ({ key, choice: "killed" })) } as const,
  points: true
})

const completed = <A, E>({ outcome }: Simulation.Report<A, E>): A => {
  if (outcome._tag !== "Completed" || Exit.isFailure(outcome.exit)) return assert.fail(JSON.stringify(outcome))
  return outcome.exit.value
}

const keysOf = ({ points }: Simulation.Report<unknown, unknown>) =>
  points.map(({ label, occurrence }) => `${label.text}#${occurrence}`)

describe("Process.start", () => {
  it("lets a search find the charge that is made again after a kill, by one decision, and name it", () => {
    const failure = failureOf(Simulation.check(Shop.checkout("keyless"), Mode.exhaustive({ deviations: 1 })))

    assert.deepStrictEqual(
      [failure.kind, failure.message, failure.plan?.decisions],
      ["invariant", "charged 2 times", [{ key: "kill checkout#2", choice: "killed" }]]
    )
    assert.include(
      failure.text,
      `1. process checkout is killed before its 3rd step, while in "POST", last seen before POST /v1/payment_intents`
    )
    assert.include(failure.text, "+1080 ms                        process checkout starts again")
  })

  it("finds all moments between a charge and the memory of it", () => {
    const outcome = Simulation.check(Shop.checkout("keyless"), Mode.exhaustive({ deviations: 1, maxFailures: 100 }))

    assert.deepStrictEqual(
      outcome.failures.map(({ plan }) => plan?.decisions.map(({ key }) => key)),
      [["kill checkout#2"], ["kill checkout after POST /v1/payment_intents#0"], ["kill checkout at charged#0"]]
    )
  })

  it("finds what is remembered before it is done", () => {
    const failure = failureOf(Simulation.check(Shop.checkout("too early"), Mode.exhaustive({ deviations: 1 })))

    assert.deepStrictEqual(
      [failure.message, failure.plan?.decisions],
      ["charged 0 times", [{ key: "kill checkout at marked#0", choice: "killed" }]]
    )
    assert.include(failure.text, `process checkout is killed at marked, the 1st time, while in "pay"`)
  })

  it("finds nothing where the charge has a key, with two kills, and before each operation", () => {
    const two = Simulation.check(Shop.checkout("keyed"), Mode.exhaustive({ deviations: 2 }))
    const everywhere = Simulation.check(
      Shop.checkout("keyed"),
      Mode.exhaustive({ deviations: 1, preemption: "every-op" })
    )

    assert.deepStrictEqual([two.failures, two.exhausted], [[], true])
    assert.deepStrictEqual([everywhere.failures, everywhere.exhausted], [[], true])
    assert.isAbove(two.plans, 20)
    assert.isAbove(everywhere.plans, 100)
  }, 30_000)

  it("finds it at random, and shrinks it to one kill", () => {
    const failure = failureOf(
      Simulation.check(Shop.checkout("keyless"), Mode.random({ killRate: 0.2, preemption: "wakeups" }))
    )

    assert.strictEqual(failure.plan?.decisions.length, 1)
    assert.match(failure.plan?.decisions[0]?.key ?? "", /^kill checkout/u)
    assert.isEmpty(
      Simulation.check(Shop.checkout("keyless"), Mode.random({ killRate: 0, faultRate: 1, runs: 50 })).failures
    )
  })

  it("is killed again by a replay, before a step and before an operation", () => {
    for (const preemption of ["wakeups", "every-op"] as const) {
      const { plan } = failureOf(
        Simulation.check(Shop.checkout("keyless"), Mode.exhaustive({ deviations: 1, preemption }))
      )
      assert(plan !== undefined)
      const again = Simulation.check(Shop.checkout("keyless"), Mode.replay(Plan.stringify(plan)))

      assert.deepStrictEqual(
        again.failures.map(({ message }) => message),
        ["charged 2 times"]
      )
    }
  }, 30_000)

  it("refuses a plan whose kill is in other code", () => {
    const { plan } = failureOf(Simulation.check(Shop.checkout("keyless"), Mode.exhaustive({ deviations: 1 })))
    assert(plan !== undefined)
    const other = { ...Shop.checkout("too early"), name: plan.case }

    assert.strictEqual(failureOf(Simulation.check(other, Mode.replay(plan))).kind, "plan refused")
  })

  it("runs no finalizer of what is killed, closes handles by force, the last first, and starts again after a second", () => {
    const program = Effect.gen(function* () {
      const seen: Array<string> = []
      const tell = (text: string) => Effect.sync(() => void seen.push(text))
      const connection = (name: string) =>
        Process.handle(Effect.as(tell(`open ${name}`), name), (name) => void seen.push(`close ${name}`))
      const process = yield* Process.start(
        "worker",
        Effect.gen(function* () {
          yield* Effect.addFinalizer(() => tell("finalizer"))
          yield* connection("a")
          yield* connection("b")
          yield* Effect.forkChild(Effect.ensuring(Effect.sleep("1 minute"), tell("child's finalizer")))
          yield* Effect.onInterrupt(Effect.sleep("2 seconds"), () => tell("interrupted"))
          yield* tell("done")
        })
      )
      yield* process.join
      return { seen, kills: yield* process.kills }
    })
    const undisturbed = Simulation.run(program)
    const killed = Simulation.run(program, planned("kill worker#2"))
    const life = ["open a", "open b"]
    const end = ["done", "close b", "close a", "finalizer", "child's finalizer"]

    assert.deepStrictEqual(completed(undisturbed), { seen: [...life, ...end], kills: 0 })
    assert.deepStrictEqual(completed(killed), { seen: [...life, "close b", "close a", ...life, ...end], kills: 1 })
    assert.deepStrictEqual([undisturbed.elapsed, killed.elapsed], [2000, 5000])
  })

  it("lets exchanges at providers go on", () => {
    const program = Effect.gen(function* () {
      const world = yield* Shop.world()
      yield* Process.start("checkout", Shop.pay("keyless", world.client, world.store), { restartAfter: "1 hour" })
      yield* Effect.sleep("1 minute")
      return [Shop.charges(world), yield* world.store.isPaid]
    })
    const sent = Simulation.run(program, planned("kill checkout#2"))
    const unsent = Simulation.run(program, planned("kill checkout before POST /v1/payment_intents#0"))

    assert.deepStrictEqual(completed(sent), [1, false])
    assert.deepStrictEqual(completed(unsent), [0, false])
  })

  it("leaves other processes alone, and shares nothing between lives but what the world has", () => {
    const program = Effect.gen(function* () {
      const shared = yield* Ref.make(0)
      const ticking = (name: string) =>
        Effect.gen(function* () {
          let own = 0
          for (let tick = 0; tick < 5; tick++) {
            yield* Effect.sleep("1 second")
            own++
            yield* Ref.update(shared, (count) => count + 1)
          }
          return `${name} ${own}`
        })
      const a = yield* Process.start("a", ticking("a"))
      const b = yield* Process.start("b", ticking("b"))
      const ended = [yield* a.join, yield* b.join]
      return { ended, shared: yield* Ref.get(shared), kills: [yield* a.kills, yield* b.kills] }
    })
    const report = Simulation.run(program, planned("kill a#3"))
    const undisturbed = Simulation.run(program, { points: true })
    const ofB = (report: Simulation.Report<unknown, unknown>) =>
      keysOf(report).filter((key) => key.startsWith("kill b"))

    assert.deepStrictEqual(completed(report), { ended: ["a 5", "b 5"], shared: 12, kills: [1, 0] })
    assert.deepStrictEqual(ofB(report), ofB(undisturbed))
    assert.strictEqual(report.elapsed, 3000 + 1000 + 5000)
  })

  it("ends what an operation has begun for others: a permit that was given back is passed on", () => {
    const program = Effect.gen(function* () {
      const semaphore = yield* Semaphore.make(1)
      const giving = Effect.andThen(
        Semaphore.withPermits(semaphore, 1, Effect.sleep("1 second")),
        Process.point("given back")
      )
      const waiting = Effect.andThen(
        Effect.sleep("10 millis"),
        Semaphore.withPermits(semaphore, 1, Effect.succeed("got it"))
      )
      yield* Process.start("giving", giving, { restartAfter: "1 day" })
      const waiter = yield* Process.start("waiting", waiting)
      return yield* waiter.join
    })
    const report = Simulation.run(program, planned("kill giving at given back#0"))

    assert.deepStrictEqual([completed(report), report.elapsed, report.taken.length], ["got it", 1000, 1])
  })

  it("is killed so often at most, and comes back each time", () => {
    const program = Effect.flatMap(
      Process.start("stubborn", Effect.sleep("1 second"), { maxKills: 2, restartAfter: "10 seconds" }),
      (process) => Effect.andThen(process.join, process.kills)
    )
    const always = { answers: { _tag: "Drawn", faultRate: 0, preemptRate: 0, killRate: 1 }, points: true } as const
    const report = Simulation.run(program, always)

    assert.strictEqual(completed(report), 2)
    assert.deepStrictEqual(keysOf(report), ["kill stubborn#0", "kill stubborn#1"])
    assert.strictEqual(report.elapsed, 21_000)
  })

  it("gives one trace in 100 runs of one plan with kills", () => {
    const ticking = Effect.gen(function* () {
      yield* Effect.forkChild(Effect.sleep("7 millis"))
      for (let tick = 0; tick < 10; tick++) yield* Effect.sleep((yield* Random.nextInt) % 2 === 0 ? 5 : 7)
    })
    const program = Effect.gen(function* () {
      const processes = yield* Effect.forEach(["a", "b", "c"], (name) => Process.start(name, ticking))
      yield* Effect.forEach(processes, ({ join }) => join)
      return yield* Effect.forEach(processes, ({ kills }) => kills)
    })
    const drawn = {
      answers: { _tag: "Drawn", faultRate: 0, preemptRate: 0.1, killRate: 0.05 },
      preemption: "every-op",
      trace: true
    } as const
    const traces = new Set(Array.from({ length: 100 }, () => Simulation.run(program, drawn).trace.join("\n")))

    assert.strictEqual(traces.size, 1)
    assert.isAbove(Math.max(...completed(Simulation.run(program, drawn))), 0)
  })

  it("forgets what a killed process waited for", () => {
    let lives = 0
    const program = Effect.gen(function* () {
      lives = 0
      const process = yield* Process.start(
        "sleeper",
        Effect.suspend(() => (++lives === 1 ? Effect.sleep("1 day") : Effect.never)).pipe(
          Effect.raceFirst(Effect.andThen(Effect.sleep("2 seconds"), Effect.never))
        )
      )
      yield* process.join
    })
    const report = Simulation.run(program, planned("kill sleeper#3"))

    assert.deepStrictEqual([report.outcome._tag, report.taken.length], ["Deadlock", 1])
    assert.isBelow(report.elapsed, 10_000)
  })

  it("is not killed any more when the faults have ended", () => {
    const of = Simulation.make({
      name: "outbox",
      world: Effect.gen(function* () {
        const world = { sent: 0 }
        const working = Effect.forever(
          Effect.andThen(
            Effect.sleep("10 seconds"),
            Effect.sync(() => world.sent++)
          )
        )
        yield* Process.start("outbox", working)
        return world
      }),
      program: () => Effect.sleep("25 seconds"),
      invariant: () => undefined,
      eventually: ({ world }) => (world.sent >= 7 ? undefined : `sent ${world.sent} only`)
    })
    const outcome = Simulation.check(of, Mode.exhaustive({ deviations: 1 }))

    assert.deepStrictEqual([outcome.failures.map(({ text }) => text), outcome.exhausted], [[], true])
    // It begins, and wakes twice; after each round `forever` lets the others run.
    assert.strictEqual(outcome.plans, 1 + 1 + 2 * 2)
  })

  it("fails the case where a process dies of a defect, or a handle cannot be closed", () => {
    const dying = Effect.andThen(Process.start("mortal", Effect.die(new Error("out of cheese"))), Effect.never)
    const stuck = Effect.flatMap(
      Process.start(
        "stuck",
        Effect.andThen(
          Process.handle(Effect.void, () => {
            throw new Error("no way")
          }),
          Effect.sleep("1 second")
        )
      ),
      ({ join }) => join
    )
    const found = [dying, stuck].map((program) =>
      failureOf(Simulation.check(only(Effect.scoped(program)), Mode.exhaustive({ deviations: 0 })))
    )

    assert.deepStrictEqual(
      found.map(({ kind, message }) => [kind, message]),
      [
        ["defect", "process mortal died: out of cheese"],
        ["defect", "process stuck died: no way"]
      ]
    )
  })

  it("ends for good by an error of its own, and is abandoned when the scope closes", () => {
    const program = Effect.gen(function* () {
      const seen: Array<string> = []
      const failing = yield* Process.start("failing", Effect.fail("no money"))
      const held = Process.handle(Effect.void, () => void seen.push("closed"))
      const endless = Effect.ensuring(
        Effect.andThen(held, Effect.never),
        Effect.sync(() => seen.push("finalizer"))
      )
      yield* Effect.scoped(Effect.andThen(Process.start("endless", endless), Effect.sleep("1 second")))
      return { failed: yield* failing.await, seen }
    })

    assert.deepStrictEqual(completed(Simulation.run(program)), { failed: Exit.fail("no money"), seen: ["closed"] })
  })

  it("refuses a name that is taken or no name, a number of kills that is none, and a process in a process", () => {
    const refused = (program: Effect.Effect<unknown>) =>
      failureOf(Simulation.check(only(program), Mode.exhaustive({ deviations: 0 }))).message
    const start = (name: string, maxKills = 1) => Effect.scoped(Process.start(name, Effect.never, { maxKills }))

    assert.strictEqual(
      refused(start("two words")),
      `the program died: Process.start: a name has letters, digits, ".", "_" and "-" only, got "two words"`
    )
    assert.strictEqual(
      refused(Effect.scoped(Effect.andThen(Process.start("a", start("b")), Effect.sleep("1 second")))),
      `process a died: Process.start: process "a" starts "b": start it in the world or the program`
    )
    assert.strictEqual(
      refused(start("a", -1)),
      "the program died: Process.start: maxKills must be a whole number of at least 0, got -1"
    )
    assert.strictEqual(
      refused(
        Effect.scoped(
          Effect.andThen(
            Process.start("a", Effect.never),
            Effect.andThen(Process.start("a", Effect.never), Effect.sleep(1))
          )
        )
      ),
      `the program died: Process.start: there is a process "a" already`
    )
  })

  it.effect("runs the program outside a simulation, where nothing kills it", () =>
    Effect.gen(function* () {
      const seen: Array<string> = []
      const process = yield* Process.start(
        "worker",
        Effect.gen(function* () {
          yield* Process.handle(Effect.void, () => void seen.push("closed"))
          yield* Process.point("here")
          seen.push("worked")
          return "done"
        })
      )

      assert.strictEqual(yield* process.join, "done")
      assert.deepStrictEqual(seen, ["worked", "closed"])
    })
  )
})

describe("Process.point", () => {
  it("tells who listens, and asks nothing outside a process", () => {
    const heard: Array<string> = []
    const listening = Effect.provideService(
      Process.point("here"),
      Process.PointListener,
      (name) => void heard.push(name)
    )
    const report = Simulation.run(listening, { points: true })

    assert.deepStrictEqual([heard, keysOf(report)], [["here"], []])
  })
})

describe("Process with work outside", () => {
  it("gives up what a killed process waited for outside, in one trace of 20", async () => {
    const program = Effect.gen(function* () {
      const seen: Array<string> = []
      const outside = Effect.promise(() => stat(import.meta.filename))
      const process = yield* Process.start(
        "reader",
        Effect.andThen(
          outside,
          Effect.sync(() => void seen.push("read"))
        )
      )
      yield* process.join
      return { seen, kills: yield* process.kills }
    })
    const traces = new Set<string>()
    for (let run = 0; run < 20; run++) {
      const report = await Simulation.runPromise(program, { ...planned("kill reader#1"), trace: true })
      assert.deepStrictEqual(completed(report), { seen: ["read"], kills: 1 })
      traces.add(report.trace.join("\n"))
    }

    assert.strictEqual(traces.size, 1)
  })
})

describe("Process.handle", () => {
  /** A charge inside a transaction, which a kill must roll back. */
  const transactional = (path: string, closes: boolean) =>
    Simulation.make({
      name: "transaction",
      world: Effect.acquireRelease(
        Effect.sync(() => {
          rmSync(path, { force: true })
          return { rows: [] as ReadonlyArray<unknown> }
        }),
        () => Effect.sync(() => rmSync(path, { force: true }))
      ),
      program: Effect.fnUntraced(function* (world) {
        const process = yield* Process.start(
          "writer",
          Effect.gen(function* () {
            const database = yield* closes ? SqliteStore.connect(path) : Process.outside(SqliteStore.connect(path))
            database.exec("BEGIN IMMEDIATE")
            database.exec("INSERT INTO paid VALUES ('begun')")
            yield* Effect.sleep("1 second")
            database.exec("INSERT INTO paid VALUES ('ended')")
            database.exec("COMMIT")
            world.rows = database
              .prepare("SELECT id FROM paid ORDER BY id")
              .all()
              .map(({ id }) => id)
          })
        )
        return yield* process.join
      }),
      invariant: ({ world }) => (world.rows.join() === "begun,ended" ? undefined : `rows ${world.rows.join()}`)
    })

  it("rolls back what a killed process had begun in SQLite, so that the next life finds no lock", () => {
    const path = join(mkdtempSync(join(tmpdir(), "process-")), "store.sqlite")
    const closed = Simulation.check(transactional(path, true), Mode.exhaustive({ deviations: 2 }))
    const open = Simulation.check(transactional(path, false), Mode.exhaustive({ deviations: 1 }))

    assert.deepStrictEqual([closed.failures.map(({ text }) => text), closed.exhausted], [[], true])
    assert.strictEqual(failureOf(open).message, "process writer died: database is locked")
    rmSync(dirname(path), { recursive: true })
  })
})

describe("Process and faults", () => {
  it("are decided in one plan: a fault and a kill", () => {
    const of = (manner: Shop.Manner) => Shop.checkout(manner, FaultMenu.make([Fault.lostResponse]))
    const keyless = Simulation.check(of("keyless"), Mode.exhaustive({ deviations: 2, maxFailures: 100 }))
    const sizes = keyless.failures.map(({ plan }) => plan?.decisions.length)
    const keyed = Simulation.check(of("keyed"), Mode.exhaustive({ deviations: 2 }))

    assert.deepStrictEqual(new Set(sizes), new Set([1]))
    assert.deepStrictEqual([keyed.failures.map(({ text }) => text), keyed.exhausted], [[], true])
  }, 30_000)
})
