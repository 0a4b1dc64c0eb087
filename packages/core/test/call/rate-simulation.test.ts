/** What the rate budget promises, held against simulations: imports that want all of it, calls that are interrupted at every step, providers that ask to wait. */
import { assert, describe, it as plain } from "@effect/vitest"
import { Call, Health } from "@breakwater/core"
import { Connections } from "@breakwater/core/Connections"
import { Load, Mode, Simulation, Vitest } from "@breakwater/testkit"
import { Clock, Effect, Fiber, Random, Schema } from "effect"
import { HttpClient, type HttpClientRequest, HttpServerResponse } from "effect/http"

const it = Vitest.extend(plain)

const answered = (request: HttpClientRequest.HttpClientRequest, status: number, headers: Record<string, string>) =>
  HttpServerResponse.toClientResponse(HttpServerResponse.empty({ status, headers }), { request })

const percentile = (values: ReadonlyArray<number>, share: number): number =>
  values.toSorted((a, b) => a - b)[Math.ceil(values.length * share) - 1] ?? Number.NaN

/** Milliseconds that interactive calls took, at 20 a second for a minute, beside so many imports that never rest. */
const interactiveBeside = (
  imports: number,
  options: { readonly imports: Call.TrafficClass; readonly reserve?: number }
) => {
  const took: Array<number> = []
  let imported = 0
  const load = Effect.gen(function* () {
    const provider = yield* Call.connect({
      provider: "wallet",
      rate: { limit: 100, window: "1 second", burst: 20 },
      policy: { rate: { reserve: options.reserve } }
    })
    const service = Effect.flatMap(Random.next, (share) => Effect.sleep(50 + Math.floor(share * 100)))
    const protectedBy = (operation: string) => Call.protect(service, { provider, operation, safety: "safe" })
    const busy = Effect.forever(
      Effect.tap(protectedBy("import"), () => Effect.sync(() => void imported++)).pipe(
        Effect.ignore,
        Call.withClass(options.imports)
      )
    )
    for (let n = 0; n < imports; n++) yield* Effect.forkScoped(busy)
    const call = Effect.gen(function* () {
      // So that they come at any time, and sometimes together.
      yield* Effect.sleep(Math.floor((yield* Random.next) * 200))
      const before = yield* Clock.currentTimeMillis
      yield* protectedBy("get")
      took.push((yield* Clock.currentTimeMillis) - before)
    })
    return yield* Load.run({ rate: 20, trigger: { from: 0, lasts: 0 }, lasts: "1 minute", call: () => call })
  })
  Load.simulate(load)
  return { p99: percentile(took, 0.99), p50: percentile(took, 0.5), calls: took.length, imported }
}

describe("saturated imports", () => {
  it("leave interactive calls as fast as they are alone: the 99th percentile is within a tenth", () => {
    const alone = interactiveBeside(0, { imports: "import" })
    const beside = interactiveBeside(60, { imports: "import" })
    const unranked = interactiveBeside(60, { imports: "interactive" })
    const unreserved = interactiveBeside(60, { imports: "import", reserve: 0 })
    process.stdout.write(
      `interactive p99 alone ${alone.p99} ms, beside imports ${beside.p99} ms (${beside.imported} imported), beside the same without a class ${unranked.p99} ms, and without a reserve ${unreserved.p99} ms; medians ${alone.p50}, ${beside.p50}, ${unranked.p50}, ${unreserved.p50} ms\n`
    )

    // A hundred a second, of which interactive calls take twenty: imports have the rest, less what is left in reserve.
    assert.isAbove(beside.imported, 60 * 78)
    assert.isAtLeast(alone.calls, 1190)
    assert.isAtMost(beside.p99, alone.p99 * 1.1)
    assert.isAtMost(beside.p50, alone.p50 * 1.1)
    // What is left out here would be noticed.
    assert.isAbove(unranked.p50, alone.p50 * 1.1)
  }, 60_000)
})

const Interruption = Schema.Struct({ victim: Schema.Int, at: Schema.Int })

/** Three calls at one token a second and one slot, one of which is interrupted: while it takes its token, waits for it, is refused its slot, or runs. */
const interrupted = Simulation.make({
  inputs: {
    schema: Interruption,
    examples: [0, 1, 2].flatMap((victim) => [0, 300, 999, 1000, 1300, 2000].map((at) => ({ victim, at })))
  },
  world: Effect.sync(() => ({ sent: [] as Array<number>, waiting: -1, endedAt: Number.NaN, next: Number.NaN })),
  program: (world, { at, victim }) =>
    Effect.gen(function* () {
      const provider = yield* Call.connect({
        provider: "wallet",
        rate: { limit: 1, window: "1 second" },
        policy: { bulkhead: { concurrency: 1, queue: 1 } }
      })
      const service = Effect.flatMap(Clock.currentTimeMillis, (now) => {
        world.sent.push(now)
        return Effect.sleep(1100)
      })
      const call = Effect.exit(Call.protect(service, { provider, operation: "get", safety: "safe" }))
      const fibers = yield* Effect.forEach(["import", "interactive", "webhook"] as const, (traffic) =>
        Effect.forkChild(Call.withClass(call, traffic))
      )
      yield* Effect.sleep(at)
      const target = fibers[victim]
      if (target !== undefined) yield* Fiber.interrupt(target)
      yield* Effect.forEach(fibers, Fiber.await)
      const { connections } = yield* Health.snapshot
      world.waiting = connections[0]?.rateBudget.waiting ?? -1
      world.endedAt = yield* Clock.currentTimeMillis
      world.next = world.endedAt + (connections[0]?.rateBudget.waitMillis ?? Number.NaN)
    }).pipe(Effect.scoped, Effect.provideService(Connections, new Set())),
  invariant: ({ world }) => {
    const gaps = world.sent.slice(1).map((at, index) => at - (world.sent[index] ?? 0))
    if (gaps.some((gap) => gap < 1000)) return `sent at ${world.sent.join(", ")}: too many in a second`
    if (world.waiting !== 0) return `${world.waiting} stand in line when nobody is there`
    // The next token is there a second after the last call that was sent, not later and not earlier: none was lost, and none was made.
    const earned = Math.max(world.endedAt, (world.sent.at(-1) ?? Number.NEGATIVE_INFINITY) + 1000)
    return world.next === earned ? undefined : `the next token is there at ${world.next}, not at ${earned}`
  },
  sometimes: {
    "all were sent": ({ world }) => world.sent.length === 3,
    "one was not": ({ world }) => world.sent.length === 2
  },
  quiet: "1 second"
})

describe("a call that is interrupted", () => {
  it.simulate(
    "loses no token at any of its steps",
    interrupted,
    Mode.exhaustive({ deviations: 1, preemption: "every-op" }),
    120_000
  )
})

/** The ways in which the provider asks to wait; the first is that it does not. */
const answers = ["fine", "429 after 2 s", "429 until a date", "429 and nothing left", "429 of half a minute"] as const

const refusalOf = (
  answer: (typeof answers)[number],
  now: number
): readonly [millis: number, Record<string, string>] => {
  // Its clock is ten minutes fast, and it says so.
  const theirs = now + 600_000
  const date = (millis: number) => new Date(millis).toUTCString()
  switch (answer) {
    case "429 until a date":
      return [4000, { date: date(theirs), "retry-after": date(theirs + 4000) }]
    case "429 and nothing left":
      return [6000, { "x-ratelimit-remaining": "0", "x-ratelimit-reset": "6" }]
    case "429 of half a minute":
      return [30_000, { "retry-after": "30" }]
    default:
      return [2000, { "retry-after": "2" }]
  }
}

/** Four calls to a provider that asks to wait whenever the plan says so. */
const hinted = Simulation.make({
  world: Effect.sync(() => ({
    sent: [] as Array<number>,
    floors: [] as Array<readonly [from: number, until: number]>
  })),
  program: (world) =>
    Effect.gen(function* () {
      const respond = Effect.fnUntraced(function* (request: HttpClientRequest.HttpClientRequest) {
        const count = world.sent.push(yield* Clock.currentTimeMillis)
        const answer = yield* Simulation.choose(`answer ${count}`, answers)
        yield* Effect.sleep(20)
        const now = yield* Clock.currentTimeMillis
        if (answer === "fine") return answered(request, 204, {})
        const [millis, headers] = refusalOf(answer, now)
        world.floors.push([now, now + millis])
        return answered(request, 429, headers)
      })
      const client = yield* Call.client(HttpClient.make(respond), {
        provider: "wallet",
        policy: { attempts: 4, deadline: "10 minutes", rateWait: "5 minutes" }
      })
      const call = Effect.exit(client.get("https://wallet.test/things"))
      yield* Effect.all([call, Effect.delay(call, 10), Effect.delay(call, 500), Effect.delay(call, 5000)], {
        concurrency: "unbounded"
      })
    }).pipe(Effect.scoped, Effect.provideService(Connections, new Set())),
  invariant: ({ world }) => {
    for (const [from, until] of world.floors) {
      const early = world.sent.find((at) => at > from && at < until)
      if (early !== undefined) return `sent at ${early}, asked at ${from} to wait until ${until}`
    }
    return world.sent.length >= 4 ? undefined : "not all were sent"
  },
  sometimes: { "somebody had to wait": ({ world }) => world.floors.length > 0 },
  quiet: "1 second"
})

describe("a provider that asks to wait", () => {
  it.simulate(
    "meets no attempt of the connection before that wait is over",
    hinted,
    Mode.exhaustive({ deviations: 2 }),
    120_000
  )
})
