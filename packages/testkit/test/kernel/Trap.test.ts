// The programs here do what the kernel forbids; that is what is tested.
// @effect-diagnostics *:off
import { randomInt, randomUUID } from "node:crypto"
import { stat } from "node:fs/promises"
import { assert, describe, it } from "@effect/vitest"
import { DateTime, Effect, Exit, HashMap, Schema } from "effect"
import { Simulation } from "@breakwater/testkit"

/** The line of this file that calls it. */
const here = (): number => {
  const line = /Trap\.test\.ts:(?<line>\d+)/u.exec(new Error("here").stack?.split("\n")[2] ?? "")?.groups?.["line"]
  return Number(line)
}

const leakOf = (body: () => unknown): { readonly what: string; readonly line: number } => {
  const program = Effect.suspend(() => {
    const given = body()
    return Effect.isEffect(given) ? (given as Effect.Effect<unknown>) : Effect.succeed(given)
  })
  const { outcome } = Simulation.run(program)
  if (outcome._tag !== "Left") throw new Error(`it came to ${outcome._tag}`)
  const { location = "", what } = outcome.leak
  const { file, line } = /(?<file>\w+\.test\.ts):(?<line>\d+):\d+$/u.exec(location)?.groups ?? {}
  assert.strictEqual(file, "Trap.test.ts", location)
  return { what, line: Number(line) }
}

describe("Trap", () => {
  it("reports ambient time, randomness, timers and fibers with the line of the user's code", () => {
    const first = here() + 2
    const leaks = [
      leakOf(() => Date.now()),
      leakOf(() => new Date()),
      leakOf(() => performance.now()),
      leakOf(() => Math.random()),
      leakOf(() => crypto.randomUUID()),
      leakOf(() => crypto.getRandomValues(new Uint8Array(4))),
      leakOf(() => randomUUID()),
      leakOf(() => randomInt(7)),
      leakOf(() => setTimeout(() => undefined, 1)),
      leakOf(() => setInterval(() => undefined, 1)),
      leakOf(() => setImmediate(() => undefined)),
      leakOf(() => queueMicrotask(() => undefined)),
      leakOf(() => fetch("http://127.0.0.1:1")),
      leakOf(() => DateTime.nowUnsafe()),
      leakOf(() => Effect.runSync(Effect.sync(() => 1))),
      leakOf(() => void Effect.runFork(Effect.sync(() => 1))),
      leakOf(() => void Effect.runPromise(Effect.sleep("1 second")))
    ]

    const entry = "Effect.runSync, runPromise or runFork"
    const expected = [
      "Date.now()",
      "new Date()",
      "performance.now()",
      "Math.random()",
      "crypto.randomUUID()",
      "crypto.getRandomValues()",
      "randomUUID() of node:crypto",
      "randomInt() of node:crypto",
      "setTimeout()",
      "setInterval()",
      "setImmediate()",
      "queueMicrotask()",
      "fetch()",
      "Date.now()",
      entry,
      entry,
      entry
    ]
    assert.deepStrictEqual(
      leaks,
      expected.map((what, index) => ({ what, line: first + index }))
    )
  })

  it("reports promises with the line where they were made", () => {
    const first = here() + 2
    const leaks = [
      leakOf(() => Effect.promise(() => stat("/"))),
      leakOf(() => Effect.tryPromise(() => crypto.subtle.digest("SHA-256", new Uint8Array(1)))),
      leakOf(() => Effect.promise(async () => 1)),
      leakOf(() => void Promise.resolve(1).then(() => 2))
    ]

    assert.deepStrictEqual(
      leaks,
      leaks.map((_, index) => ({ what: "a promise", line: first + index }))
    )
  })

  it("ends the run before the program goes on", () => {
    const seen: Array<string> = []
    const program = Effect.gen(function* () {
      seen.push("before")
      Date.now()
      yield* Effect.sleep("1 second")
      seen.push("after")
    })
    Simulation.run(program)

    assert.deepStrictEqual(seen, ["before"])
  })

  it("leaves alone what is deterministic: dates of a time, schemas, hashes, clocks of Effect", () => {
    const program = Effect.gen(function* () {
      const decoded = Schema.decodeUnknownSync(Schema.fromJsonString(Schema.Struct({ a: Schema.Int })))(`{"a":1}`)
      const day = new Date(Date.UTC(2026, 0, 1)).toISOString()
      const now = yield* DateTime.now
      const key = () => undefined
      return [
        decoded.a,
        day,
        DateTime.formatIso(now),
        HashMap.size(HashMap.make([key, 1])),
        new Date(0) instanceof Date
      ]
    })
    const { outcome } = Simulation.run(program)

    assert.deepStrictEqual(outcome, {
      _tag: "Completed",
      exit: Exit.succeed([1, "2026-01-01T00:00:00.000Z", "2026-01-01T00:00:00.000Z", 1, true])
    })
  })

  it("puts everything back", () => {
    const all = () => [
      Reflect.get(globalThis, "Date"),
      Reflect.get(Date, "now"),
      Reflect.get(Math, "random"),
      Reflect.get(globalThis, "setTimeout"),
      Reflect.get(globalThis, "fetch"),
      Reflect.get(Promise.prototype, "then"),
      Reflect.get(crypto, "randomUUID"),
      randomUUID
    ]
    const before = all()
    Simulation.run(Effect.void)

    assert.deepStrictEqual(all(), before)
    assert.isFalse(Object.hasOwn(crypto, "randomUUID"))
  })

  it("runs inside an effect of a test", async () => {
    const outer = Effect.gen(function* () {
      yield* Effect.yieldNow
      const report = Simulation.run(Effect.as(Effect.sleep("1 hour"), "inner"))
      yield* Effect.yieldNow
      return report.outcome
    })

    assert.deepStrictEqual(await Effect.runPromise(outer), { _tag: "Completed", exit: Exit.succeed("inner") })
  })
})

describe("Kernel.runPromise", () => {
  const worker = (name: string) =>
    Effect.gen(function* () {
      yield* Effect.promise(() => stat("/"))
      yield* Simulation.note(`${name} has read`)
      yield* Effect.promise(() => crypto.subtle.digest("SHA-256", new Uint8Array(100_000)))
      yield* Simulation.note(`${name} has hashed`)
      yield* Effect.callback<void>((resume) => void setTimeout(() => resume(Effect.void), 1))
      yield* Effect.sleep("1 second")
      yield* Effect.promise(() => new Promise((resolve) => setImmediate(() => resolve(undefined))))
      yield* Simulation.note(`${name} is done`)
    })
  const program = Effect.gen(function* () {
    const racing = Effect.race(
      Effect.as(
        Effect.promise(() => crypto.subtle.digest("SHA-256", new Uint8Array(1))),
        "digest"
      ),
      Effect.as(Effect.sleep("1 millis"), "timer")
    )
    yield* Effect.all(["a", "b", "c"].map(worker), { concurrency: "unbounded" })
    return yield* racing
  })

  it("holds promises and timers, and delivers them in order: one trace of 60", async () => {
    const traces = new Set<string>()
    for (let run = 0; run < 60; run++) {
      const { outcome, trace } = await Simulation.runPromise(program, { trace: true })
      traces.add([JSON.stringify(outcome), ...trace].join("\n"))
    }

    assert.strictEqual(traces.size, 1)
    assert.include([...traces][0], `"value":"digest"`)
  })

  it("delivers what a promise was rejected with, and chains", async () => {
    const program = Effect.gen(function* () {
      const failed = yield* Effect.flip(
        Effect.tryPromise({
          try: () => stat("/nowhere").then(({ size }) => size),
          catch: (error) => error as NodeJS.ErrnoException
        })
      )
      const chained = yield* Effect.promise(() =>
        Promise.all([stat("/").then((found) => found.isDirectory()), Promise.resolve(7)])
      )
      return [failed.code, ...chained]
    })
    const { outcome } = await Simulation.runPromise(program)

    assert.deepStrictEqual(outcome, { _tag: "Completed", exit: Exit.succeed(["ENOENT", true, 7]) })
  })

  it("reports work that does not end, and ambient time still", async () => {
    const never = await Simulation.runPromise(
      Effect.promise(() => new Promise(() => undefined)),
      { externalMillis: 20 }
    )
    const now = await Simulation.runPromise(
      Effect.andThen(
        Effect.promise(() => stat("/")),
        Effect.sync(() => Date.now())
      )
    )

    assert.deepStrictEqual(never.outcome, {
      _tag: "Left",
      leak: { what: "work outside that does not end", location: undefined }
    })
    assert.strictEqual(now.outcome._tag === "Left" ? now.outcome.leak.what : "", "Date.now()")
  })
})
