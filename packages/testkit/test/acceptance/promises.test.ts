/** What a call promises whatever strikes it: it ends by its deadline, comes back no sooner than it was asked to, sends no write twice that it must not, and leaves nothing behind. */
import { assert, describe, it } from "@effect/vitest"
import { Auth, type CallPolicy, Client, Health, Idempotency, Provider, Safety } from "@breakwater/core"
import { Connections } from "@breakwater/core/Connections"
import {
  Fault,
  FaultMenu,
  FaultPlan,
  Hint,
  Ledger,
  Mode,
  SimulatedNetwork,
  SimulatedProvider,
  Simulation
} from "@breakwater/testkit"
import { Clock, Context, Effect, Exit, Fiber, Layer, Redacted, Schema } from "effect"
import { HttpClient } from "effect/http"
import { HttpApi, HttpApiBuilder, HttpApiEndpoint, HttpApiGroup } from "effect/http-api"
import * as Wallet from "../support/Wallet.ts"

const Done = Schema.Struct({ n: Schema.Int })
const keyMillis = 900

const api = HttpApi.make("till").add(
  HttpApiGroup.make("sales").add(
    HttpApiEndpoint.get("read", "/sales", { success: Done }),
    // The margin of an hour leaves the key so long.
    HttpApiEndpoint.post("pay", "/pay", { success: Done }).pipe(
      Safety.keyed({ header: "Idempotency-Key", window: 3_600_000 + keyMillis })
    ),
    HttpApiEndpoint.post("print", "/print", { success: Done }).pipe(Safety.unsafe)
  )
)

const provider = Provider.make("till", {
  api,
  environments: { sandbox: "https://sandbox.till.test", production: "https://api.till.test" },
  auth: Auth.bearer(),
  rate: { limit: 20, window: "1 second" }
})

class Till extends Context.Service<Till, Client.Of<typeof provider>>()("test/Till") {}

/** Off the spacing of the rate, so that no attempt leaves in the instant in which an answer comes. */
const latencyMillis = 40

const simulated = Effect.suspend(() => {
  const ledger = new Ledger()
  const work = (kind: string) =>
    Effect.sync(() => {
      ledger.record({ kind })
      return { n: ledger.entries.length }
    })
  const handlers = HttpApiBuilder.group(api, "sales", (handlers) =>
    handlers
      .handle("read", () => work("read"))
      .handle("pay", () => work("pay"))
      .handle("print", () => work("print"))
  )
  return SimulatedProvider.make({ provider, handlers, ledger, words: Wallet.words, latency: latencyMillis })
})

const deadlineMillis = 1000
const policy: CallPolicy.CallPolicy = {
  deadline: deadlineMillis,
  attemptTimeout: "800 millis",
  silenceTimeout: "400 millis",
  attempts: 4,
  backoff: { base: "100 millis" },
  rate: { margin: 0 },
  bulkhead: { concurrency: 2, queueTimeout: "1 second" }
}

const askedMillis = 700
const asked = Hint.milliseconds(askedMillis)

const menu = FaultMenu.make([
  Fault.latency("750 millis"),
  Fault.refused,
  Fault.lostResponse,
  Fault.blackhole(),
  Fault.blackhole({ processed: true }),
  Fault.trickle({ pieces: 8, every: "300 millis" }),
  Fault.truncated(),
  Fault.status(503, { hint: asked }),
  Fault.status(503, { hint: asked, processed: true }),
  Fault.rateLimited(asked),
  Fault.rateLimited(Hint.aDay),
  Fault.status(409)
])

const names = ["read", "pay", "print"] as const

interface Ended {
  readonly name: string
  readonly took: number
  readonly exit: Exit.Exit<unknown, unknown>
}

/** Three calls at once, so that one of them queues, any of which its caller may leave; and whether a call afterwards finds everything free. */
const calling = (world: SimulatedProvider.SimulatedProvider) =>
  Effect.gen(function* () {
    const transport = yield* SimulatedNetwork.client([world], {
      plan: FaultPlan.during({ from: 0, to: "1 minute" }, menu)
    })
    const live = Client.layer(Till, provider, { credential: Redacted.make("key"), policy }).pipe(
      Layer.provide(Layer.succeed(HttpClient.HttpClient, transport))
    )
    const { sales } = Context.get(yield* Effect.orDie(Layer.build(live)), Till)
    const timed = <E>(name: string, call: Effect.Effect<unknown, E>) =>
      Effect.gen(function* () {
        const before = yield* Clock.currentTimeMillis
        const exit = yield* Effect.exit(call)
        return { name, took: (yield* Clock.currentTimeMillis) - before, exit } satisfies Ended
      })
    const calls = [
      timed("read", sales.read()),
      timed("pay", sales.pay().pipe(Idempotency.withKey("sale/1"))),
      timed("print", sales.print())
    ]
    const fibers = yield* Effect.forEach(calls, (call) => Effect.forkChild(call))
    const leaves = yield* Simulation.choose("a caller leaves", ["nobody", "read", "pay", "print"])
    yield* Effect.sleep("60 millis")
    for (const [index, name] of names.entries()) {
      const fiber = fibers[index]
      if (leaves === name && fiber !== undefined) yield* Fiber.interrupt(fiber)
    }
    const ended = (yield* Effect.forEach(fibers, Fiber.await)).flatMap((exit) =>
      Exit.isSuccess(exit) ? [exit.value] : []
    )
    yield* Effect.sleep("1 millis")
    const [connection] = (yield* Health.snapshot).connections
    const held =
      (connection?.bulkhead.inFlight ?? 0) + (connection?.bulkhead.waiting ?? 0) + (connection?.rateBudget.waiting ?? 0)
    yield* Effect.sleep("5 minutes")
    return { ended, held, later: Exit.isSuccess(yield* Effect.exit(sales.read())) }
  }).pipe(Effect.scoped, Effect.provideService(Connections, new Set()))

type Exchanges = Ledger["exchanges"]

const of = (exchanges: Exchanges, operation: string) => exchanges.filter((each) => each.operation === operation)

/** Whether the provider may have done what an exchange asked for, as far as its client can tell. */
const isInDoubt = ({ fault, status }: Exchanges[number]): boolean =>
  !(fault === "refused" || status === 429 || status === 409)

/** An exchange that came sooner than an answer before it had asked for: after a 429 of anything, after another answer of the same. */
const tooSoon = (exchanges: Exchanges): string | undefined => {
  for (const { at, fault, operation, processed, status } of exchanges) {
    if (!fault.includes(`${askedMillis}`)) continue
    const answeredAt = processed ? at + latencyMillis : at
    const next = exchanges.find((each) => each.at > answeredAt && (status === 429 || each.operation === operation))
    if (next !== undefined && next.at < answeredAt + askedMillis) return `${next.operation} came back too soon`
  }
  return undefined
}

const broken = (exchanges: Exchanges, ledger: Ledger): string | undefined => {
  const printed = of(exchanges, "sales.print")
  if (printed.slice(0, -1).some((each) => isInDoubt(each))) return "an unsafe write was sent again"
  if (ledger.ofKind("print").length > 1) return "printed twice"
  const paid = of(exchanges, "sales.pay")
  if (paid.some(({ key }) => key !== "sale/1")) return "sent without its key"
  const [first] = paid
  const inDoubt = paid.findIndex((each) => isInDoubt(each))
  const late = paid.findIndex(({ at }) => first !== undefined && at >= first.at + keyMillis)
  if (inDoubt !== -1 && late > inDoubt) return "an expired key was sent again"
  return tooSoon(exchanges)
}

const promised = Simulation.make({
  name: "what a call promises",
  world: simulated,
  program: calling,
  invariant: ({ exit, world }) => {
    if (Exit.isFailure(exit)) return "the program failed"
    const { ended, held, later } = exit.value
    const late = ended.find(({ took }) => took > deadlineMillis + 1)
    if (late !== undefined) return `${late.name} took ${late.took} ms`
    if (held !== 0) return `${held} slots or places are held by nobody`
    if (!later) return "a call afterwards is not served"
    return broken(world.ledger.exchanges, world.ledger)
  },
  sometimes: {
    "a payment is sent again": ({ world }) => of(world.ledger.exchanges, "sales.pay").length > 1,
    "a slip is sent again": ({ world }) => of(world.ledger.exchanges, "sales.print").length > 1
  }
})

/** One decision alone makes no call so late; two do. */
const twice = Simulation.make({
  ...promised,
  sometimes: {
    ...promised.sometimes,
    "a call ends by its deadline": ({ exit }) =>
      Exit.isSuccess(exit) && exit.value.ended.some(({ took }) => took >= deadlineMillis - 1)
  }
})

describe("a call that is struck by anything", () => {
  it("keeps what it promises under any two decisions", () => {
    const outcome = Simulation.verify(twice, Mode.exhaustive({ deviations: 2 }))
    process.stdout.write(`promises: ${Simulation.summary(outcome)}\n`)

    assert.isTrue(outcome.exhausted)
  }, 180_000)

  it("keeps it when anybody is overtaken before any operation", () => {
    const outcome = Simulation.verify(promised, Mode.exhaustive({ deviations: 1, preemption: "every-op" }))
    process.stdout.write(`promises: ${Simulation.summary(outcome)}\n`)

    assert.isTrue(outcome.exhausted)
  }, 180_000)
})
