/**
 * Two real workers over PostgreSQL and Redis, one of which is killed with SIGKILL each second, and a simulated Stripe on a real port: what its ledger says at the end.
 */
import * as Outbox from "@breakwater/core/Outbox"
import * as Serve from "@breakwater/testkit/node/Serve"
import { SimulatedStripe } from "@breakwater/testkit/stripe"
import { Clock, Effect, Layer, Schedule } from "effect"
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import { inPostgres, inRedis } from "../store/support/Adapters.ts"
import { Charge, queue } from "./SoakQueue.ts"

export interface Options {
  readonly commands: number
  /** How often a worker is killed, once a second: one that is at work. */
  readonly kills: number
  /** Which of them, each time. */
  readonly seed: number
  /** Seconds from the start after which it is given up. */
  readonly patience: number
}

export interface Report {
  readonly commands: number
  readonly kills: number
  /** Until the last command was done, or patience ended. */
  readonly seconds: number
  readonly counts: Readonly<Record<string, number>>
  readonly charges: number
  /** Commands without a charge, and with more than one. */
  readonly lost: number
  readonly doubled: number
  /** Requests that reached Stripe: those above the commands were sent again. */
  readonly requests: number
  /** What workers wrote, which is nothing unless something is wrong. */
  readonly output: string
}

interface Worker {
  /** Kills it, and starts it again; not before it is at work. Whether it did. */
  readonly kill: Effect.Effect<boolean>
}

/** A worker that is started again when it was killed. */
const startWorker = (args: ReadonlyArray<string>, write: (text: string) => void) =>
  Effect.acquireRelease(
    Effect.sync((): Worker & { readonly end: () => void } => {
      let ready: unknown
      const start = () => {
        const child = spawn(process.execPath, [fileURLToPath(new URL("SoakWorker.ts", import.meta.url)), ...args], {
          stdio: ["pipe", "pipe", "pipe"]
        })
        child.stdout.setEncoding("utf8").on("data", (text: string) => {
          if (text.includes("at work")) ready = child
          else write(text)
        })
        child.stderr.setEncoding("utf8").on("data", write)
        return child
      }
      let child = start()
      return {
        kill: Effect.sync(() => {
          if (ready !== child) return false
          child.kill("SIGKILL")
          child = start()
          return true
        }),
        end: () => void child.kill("SIGKILL")
      }
    }),
    ({ end }) => Effect.sync(end)
  )

/** Numbers from 0 to below 1, the same for the same seed. */
const random = (seed: number) => {
  let state = seed >>> 0
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

const judge = (stripe: Effect.Success<ReturnType<typeof SimulatedStripe.make>>, commands: number) => {
  const charges = stripe.ledger.ofKind("charge.succeeded")
  const byOrder = new Map<string, number>()
  for (const { metadata } of charges) {
    const order = metadata["order"] ?? ""
    byOrder.set(order, (byOrder.get(order) ?? 0) + 1)
  }
  return {
    charges: charges.length,
    lost: commands - byOrder.size,
    doubled: [...byOrder.values()].filter((count) => count > 1).length,
    requests: stripe.ledger.exchangeCount
  }
}

const maxOutput = 4000

export const run = ({ commands, kills: planned, patience, seed }: Options, progress: (line: string) => void) => {
  const prefix = `soak_${process.pid}`
  return Effect.gen(function* () {
    const stripe = yield* SimulatedStripe.make({ rateLimit: Infinity, latency: "20 millis" })
    const { url } = yield* Serve.make(stripe)
    const charges = Outbox.make({ queue, payload: Charge, handle: () => Effect.void })
    for (let from = 0; from < commands; from += 1000) {
      const orders = Array.from({ length: Math.min(1000, commands - from) }, (_, index) => `${from + index}`)
      yield* charges.addAll(orders.map((order) => ({ payload: { order }, key: `order/${order}/charge` })))
    }
    const args = [prefix, url, SimulatedStripe.defaultApiKey]
    let output = ""
    const write = (text: string) => {
      output = `${output}${text}`.slice(-maxOutput)
    }
    const startedAt = yield* Clock.currentTimeMillis
    const workers = yield* Effect.all([startWorker(args, write), startWorker(args, write)])
    const next = random(seed)
    let kills = 0
    const killing = Effect.gen(function* () {
      while (kills < planned) {
        yield* Effect.sleep("1 second")
        const [one, other] = next() < 0.5 ? workers : workers.toReversed()
        if ((yield* one?.kill ?? Effect.succeed(false)) || (yield* other?.kill ?? Effect.succeed(false))) kills++
      }
    })
    const killer = yield* Effect.forkScoped(killing)
    const watch = Effect.tap(charges.counts, ({ Dead, Done }) =>
      Effect.sync(() => progress(`${Done} of ${commands} done, ${Dead} dead, ${kills} kills`))
    )
    const counts = yield* watch.pipe(
      Effect.repeat({
        schedule: Schedule.spaced("1 second"),
        until: ({ Dead, Done }) => (kills >= planned || Done === commands) && Done + Dead >= commands
      }),
      Effect.timeoutOrElse({ duration: patience * 1000, orElse: () => charges.counts })
    )
    const took = (yield* Clock.currentTimeMillis) - startedAt
    yield* Effect.sync(() => killer.interruptUnsafe())
    const report: Report = {
      commands,
      kills,
      seconds: Math.round(took / 100) / 10,
      counts,
      ...judge(stripe, commands),
      output
    }
    return report
  }).pipe(Effect.scoped, Effect.provide(Layer.merge(inRedis(prefix), inPostgres(prefix))))
}

/** What is wrong with a run, or `undefined`. */
export const problemOf = ({ charges, commands, counts, doubled, lost }: Report): string | undefined => {
  if (lost > 0) return `${lost} commands have no charge`
  if (doubled > 0) return `${doubled} commands were charged more than once`
  if (charges !== commands) return `${charges} charges for ${commands} commands`
  return counts["Done"] === commands ? undefined : `${counts["Done"]} of ${commands} commands are done`
}
