/** *Order → charge → e-mail* with the process killed at every step: judged by what the providers really did. */
import { assert, describe, it as plain } from "@effect/vitest"
import * as OutboxMemory from "@breakwater/core/OutboxMemory"
import { OutboxStore } from "@breakwater/core/OutboxStore"
import * as Sqlite from "@breakwater/core/node/Sqlite"
import * as Stores from "@breakwater/core/node/Stores"
import { SendGrid } from "@breakwater/providers/sendgrid"
import { Stripe } from "@breakwater/providers/stripe"
import { Mode, Process, SimulatedNetwork, SimulatedSendGrid, SimulatedStripe, Simulation } from "@breakwater/testkit"
import * as KillPoint from "@breakwater/testkit/node/KillPoint"
import * as Serve from "@breakwater/testkit/node/Serve"
import { Context, Effect, Layer, Redacted, type Scope } from "effect"
import { Reactivity } from "effect/reactivity"
import { SqlClient } from "effect/sql"
import { join } from "node:path"
import { inject } from "vitest"
import { folder, inPostgres, inRedis } from "../store/support/Adapters.ts"
import type { Till } from "./support/OrderFlow.ts"
import * as OrderFlow from "./support/OrderFlow.ts"

type Stripes = Effect.Success<ReturnType<typeof SimulatedStripe.make>>

interface World {
  readonly stripe: Stripes
  readonly sendgrid: SimulatedSendGrid.SimulatedSendGrid
  /** Opens what one life of the process uses, and runs it. */
  readonly live: (program: (till: Till) => Effect.Effect<void, unknown, OutboxStore>) => Effect.Effect<void, unknown>
  kills: number
}

/** Stands for a durable store: an order is there with its commands, or not. */
const inMemory = Effect.sync((): World["live"] => {
  const store = OutboxMemory.make()
  const placed = new Set<string>()
  const place: Till["place"] = (order, commands) =>
    Effect.andThen(
      Effect.sync(() => placed.add(order)),
      Effect.asVoid(commands)
    )
  const till: Till = { place, isPlaced: (order) => Effect.sync(() => placed.has(order)) }
  return (program) => Effect.provideService(program(till), OutboxStore, store)
})

const inFile = Effect.map(folder, (path): World["live"] => {
  const options = { filename: join(path, "shop.sqlite"), synchronous: "normal" } as const
  const database = Process.handle(Sqlite.openDatabase(options), (each) => each.close())
  const client = Layer.effect(SqlClient.SqlClient, Effect.flatMap(database, Sqlite.make)).pipe(
    Layer.provide(Reactivity.layer)
  )
  const opened = Stores.layerSql().pipe(Layer.provideMerge(client))
  return (program) =>
    Effect.gen(function* () {
      yield* program(yield* OrderFlow.inTable("orders"))
    }).pipe(Effect.provide(opened))
})

const stores = { memory: inMemory, SQLite: inFile }

const leaseMillis = 5000

const providers = Effect.all({
  stripe: SimulatedStripe.make({ latency: "80 millis" }),
  sendgrid: SimulatedSendGrid.make({ latency: "80 millis", activityLag: "1 second" })
})

const clients = ({ sendgrid, stripe }: Pick<World, "stripe" | "sendgrid">) =>
  Layer.merge(
    Stripe.layer({ credential: Redacted.make(SimulatedStripe.defaultApiKey) }),
    SendGrid.layer({ credential: Redacted.make(SimulatedSendGrid.defaultApiKey), environment: "production" })
  ).pipe(Layer.provide(SimulatedNetwork.layer([stripe, sendgrid])))

const chargesOf = ({ stripe }: Pick<World, "stripe">, order: string): number =>
  stripe.ledger.ofKind("charge.succeeded").filter(({ metadata }) => metadata["order"] === order).length

const mailsOf = ({ sendgrid }: Pick<World, "sendgrid">, order: string): number =>
  sendgrid.ledger.ofKind("email.accepted").filter(({ metadata }) => metadata["reference"] === order).length

const flow = (
  orders: ReadonlyArray<string>,
  store: keyof typeof stores,
  options: { looks: boolean; maxKills: number }
) => {
  const { looks, maxKills } = options
  return Simulation.make({
    name: `order, charge, e-mail, ${store}`,
    world: Effect.gen(function* (): Effect.fn.Return<World, never, Scope.Scope> {
      return { ...(yield* providers), live: yield* stores[store], kills: 0 }
    }),
    program: (world) =>
      Effect.gen(function* () {
        const life = world.live((till) =>
          Effect.provide(OrderFlow.run({ orders, till, looks, leaseMillis }), clients(world))
        )
        const shop = yield* Process.start("shop", Effect.orDie(life), { maxKills })
        yield* shop.join
        world.kills = yield* shop.kills
      }),
    invariant: ({ world }) => {
      for (const order of orders) {
        const [charges, mails] = [chargesOf(world, order), mailsOf(world, order)]
        if (charges !== 1) return `${order} was charged ${charges} times`
        if (mails < 1) return `${order} has no e-mail`
      }
      const extra = world.sendgrid.ledger.ofKind("email.accepted").length - orders.length
      return extra > (looks ? 0 : world.kills) ? `${extra} e-mails too many for ${world.kills} kills` : undefined
    },
    sometimes: {
      "it is killed": ({ world }) => world.kills > 0,
      ...(looks ? {} : { "an e-mail is sent twice": ({ world }: { world: World }) => mailsOf(world, "o1") > 1 })
    }
  })
}

/** Proves a case, and says how large the proof was. */
const proved = (of: ReturnType<typeof flow>, mode: Mode.Mode) => {
  const outcome = Simulation.verify(of, mode)
  process.stdout.write(`${of.name}: ${Simulation.summary(outcome)}\n`)
  assert.isTrue(outcome.exhausted)
}

describe("order → charge → e-mail, killed at any step", () => {
  plain("charges each order once, loses none, and sends at most one e-mail more for each kill, in memory", () =>
    proved(flow(["o1"], "memory", { looks: false, maxKills: 2 }), Mode.exhaustive({ deviations: 1 }))
  )

  plain("does so with two orders, in memory", () =>
    proved(flow(["o1", "o2"], "memory", { looks: false, maxKills: 1 }), Mode.exhaustive({ deviations: 1 }))
  )

  plain("sends no e-mail more where it looks first, in memory", () =>
    proved(flow(["o1"], "memory", { looks: true, maxKills: 1 }), Mode.exhaustive({ deviations: 1 }))
  )

  plain("does so in SQLite", () =>
    proved(flow(["o1"], "SQLite", { looks: false, maxKills: 1 }), Mode.exhaustive({ deviations: 1 }))
  )
})

const prefixOf = (server: Server) => `t_flow_${server}_${process.pid}`

const tablesOf = (server: Server, index: number) => `${prefixOf(server)}_orders_${index}`

/** Where the records of calls are; orders and commands are in one transaction of PostgreSQL. */
type Server = "postgres" | "redis"

/** What the providers did for each moment at which a real process was killed and started again, and which orders there are. */
const sweep = Effect.fnUntraced(function* (
  server: Server,
  moments: ReadonlyArray<KillPoint.Moment>,
  orders: ReadonlyArray<string>
) {
  const script = new URL("support/OrderProcess.ts", import.meta.url)
  const prefix = prefixOf(server)
  const sql = Context.get(yield* Layer.build(inPostgres(prefix)), SqlClient.SqlClient)
  if (server === "redis") yield* Layer.build(inRedis(prefix))
  yield* Effect.addFinalizer(() =>
    Effect.ignore(Effect.forEach(moments, (_, index) => sql`DROP TABLE IF EXISTS ${sql(tablesOf(server, index))}`))
  )
  return yield* Effect.forEach(
    moments,
    (moment, index) =>
      Effect.gen(function* () {
        const world = yield* Effect.all({ stripe: SimulatedStripe.make(), sendgrid: SimulatedSendGrid.make() })
        const [stripe, sendgrid] = [yield* Serve.make(world.stripe), yield* Serve.make(world.sendgrid)]
        // Records of calls are shared, too: an order of another moment is another order.
        const own = orders.map((order) => `${order}-${index}`)
        const args = [server, prefix, tablesOf(server, index), stripe.url, sendgrid.url, ...own]
        yield* KillPoint.run(moment, { script, args })
        const done = own.map((order) => [chargesOf(world, order), mailsOf(world, order)])
        return { moment: `${moment.point}#${moment.occurrence}`, done }
      }).pipe(Effect.scoped),
    { concurrency: 2 }
  )
})

describe("a real process that is killed at each of those steps", () => {
  const servers: ReadonlyArray<readonly [Server, boolean]> = [
    ["postgres", inject("postgres")],
    ["redis", inject("postgres") && inject("redis")]
  ]
  for (const [server, answers] of servers)
    plain.live.skipIf(!answers)(
      `charges each order once, and sends its e-mail again only where it died right behind it, records in ${server}`,
      () =>
        Effect.gen(function* () {
          const orders = ["o1"]
          const moments = KillPoint.moments(flow(orders, "SQLite", { looks: false, maxKills: 1 }), "shop")
          const swept = yield* sweep(server, moments, orders)

          process.stdout.write(`real processes: ${moments.length} moments\n`)
          assert.deepStrictEqual(
            swept,
            moments.map(({ occurrence, point }) => ({
              moment: `${point}#${occurrence}`,
              done: [[1, point === "mailed" ? 2 : 1]]
            }))
          )
        }).pipe(Effect.scoped),
      240_000
    )
})
