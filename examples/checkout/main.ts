/**
 * A sale on a bad day: 500 orders in ten seconds, and a payment provider that loses answers, throttles in bursts, goes away for two seconds and sends garbage. First the client that people
 * write, then Breakwater. The provider's ledger has the last word.
 */
import { type CallPolicy, Health } from "@breakwater/core"
import * as Undici from "@breakwater/core/node/Undici"
import { Stripe } from "@breakwater/providers/stripe"
import * as Serve from "@breakwater/testkit/node/Serve"
import { SimulatedStripe } from "@breakwater/testkit/stripe"
import { Effect, Exit, Layer, Logger, Redacted } from "effect"
import { type Arguments, UsageError, help, parse } from "./Arguments.ts"
import * as BankPayments from "./BankPayments.ts"
import * as NaivePayments from "./NaivePayments.ts"
import * as Observed from "./Observed.ts"
import type { Order, Payments } from "./Payments.ts"
import * as Plan from "./Plan.ts"
import { type Shown, progress, table } from "./Report.ts"
import { run } from "./Run.ts"
import * as StripePayments from "./StripePayments.ts"
import { type Books, type CountedBooks, figures, problems } from "./Verdict.ts"

const seconds = 10
const apiKey = "sk_test_demo"

/** The demo's policy: a customer is at the till, so nothing waits for long; what cannot be settled in three seconds is deferred. */
const policy: CallPolicy.CallPolicy = {
  deadline: "3 seconds",
  attemptTimeout: "1 second",
  silenceTimeout: "1 second",
  backoff: { base: "100 millis", throttledBase: "200 millis", cap: "1 second" },
  breaker: {
    consecutiveFailures: 5,
    openFor: "500 millis",
    maxOpenFor: "1 second",
    successesToClose: 2,
    ramp: "1 second"
  }
}

interface Sale {
  readonly payments: Layer.Layer<Payments, unknown>
  readonly books: () => Books
  readonly attempts: () => number
}

/** Sells everything through one `Payments`, and holds what the customers were told against the books. */
const sell = Effect.fnUntraced(function* (name: string, orders: ReadonlyArray<Order>, sale: Sale) {
  const shown = progress(name, orders.length)
  const openings = Effect.map(Health.snapshot, ({ connections }) =>
    connections.reduce((sum, { circuit }) => sum + circuit.openings, 0)
  )
  const program = Effect.gen(function* () {
    const outcome = yield* run(orders, seconds, shown.report)
    return { ...outcome, openings: yield* openings }
  })
  const outcome = yield* Effect.ensuring(
    Effect.provide(program, Layer.merge(sale.payments, Undici.layer())),
    Effect.sync(shown.end)
  )
  const result = figures({
    orders,
    told: outcome.told,
    charges: sale.books().charges,
    attempts: sale.attempts(),
    latenciesMillis: outcome.latenciesMillis
  })
  return { ...result, deferredOnTheWay: outcome.deferredOnTheWay, openings: outcome.openings } satisfies Shown
})

/** A Stripe of its own for each run, so that both meet the same plan from the start. */
const stripe = Effect.fnUntraced(function* (options: Arguments) {
  const simulated = yield* SimulatedStripe.make({ apiKey, rateLimit: Number.POSITIVE_INFINITY, latency: "5 millis" })
  const { url } = yield* Serve.make(simulated, { port: options.port, plan: Plan.make(options.seed, seconds) })
  const charges = () =>
    simulated.ledger.ofKind("charge.succeeded").map(({ key, metadata }) => ({ order: metadata["order"] ?? "", key }))
  return { url, books: () => ({ charges: charges() }), attempts: () => simulated.ledger.exchanges.length }
})

const naive = Effect.fnUntraced(function* (options: Arguments, orders: ReadonlyArray<Order>) {
  const { attempts, books, url } = yield* stripe(options)
  return yield* sell("naive", orders, { payments: NaivePayments.layer(url), books, attempts })
}, Effect.scoped)

const breakwater = Effect.fnUntraced(function* (options: Arguments, orders: ReadonlyArray<Order>) {
  if (options.provider === "bank") {
    const books: CountedBooks = { charges: [], attempts: 0 }
    return yield* sell("breakwater", orders, {
      payments: BankPayments.layer(books),
      books: () => books,
      attempts: () => books.attempts
    })
  }
  const { attempts, books, url } = yield* stripe(options)
  const client = Stripe.layer({
    credential: Redacted.make(apiKey),
    baseUrl: url,
    rateLimit: 500,
    policy,
    userAgent: "checkout/1.0 (demo@breakwater.example)"
  })
  const payments = StripePayments.layer.pipe(Layer.provide(client), Layer.provide(Undici.layer()))
  return yield* sell("breakwater", orders, { payments, books, attempts })
}, Effect.scoped)

const main = Effect.fnUntraced(function* (options: Arguments) {
  const orders = Plan.orders(options.seed, options.orders)
  // Only what Breakwater does is of interest to who watches.
  const left = yield* naive(options, orders).pipe(Effect.withTracerEnabled(false))
  const right = yield* breakwater(options, orders)
  const wrong = problems(orders, right)
  const { deferredOnTheWay: _1, openings: _2, ...naiveFigures } = left
  const { deferredOnTheWay: _3, openings: breakerOpenings, ...figuresOfOurs } = right
  const json = {
    seed: options.seed,
    orders: options.orders,
    naive: naiveFigures,
    breakwater: { ...figuresOfOurs, breakerOpenings }
  }
  const verdict =
    wrong.length === 0
      ? "Breakwater charged every payable order once and lost none."
      : `Breakwater FAILED: ${wrong.join(", ")}.`
  const text = `\n${options.orders} orders over ${seconds} s, seed ${options.seed}\n\n${table(left, right)}\n\nBy the ledger: naive charged ${left.doubleCharged} orders twice and lost ${left.lost}. ${verdict}\n`
  process.stdout.write(options.json ? `${JSON.stringify(json)}\n` : text)
  return wrong.length === 0 ? 0 : 1
})

const mistake = (message: string): never => {
  process.stderr.write(`demo: ${message}\n`)
  process.exit(2)
}

const read = (): Arguments => {
  try {
    const options = parse(process.argv.slice(2))
    if (options !== "help") return options
    process.stdout.write(`${help}\n`)
    return process.exit(0)
  } catch (error) {
    return error instanceof UsageError ? mistake(error.message) : mistake(String(error))
  }
}

const options = read()
// Every failed attempt is a log line; five hundred orders make too many for a table. A collector takes them all.
const around = Layer.provideMerge(Observed.layer(options), Logger.layer([]))
const fiber = Effect.runFork(Effect.provide(main(options), around))
const stop = () => fiber.interruptUnsafe()
process.once("SIGINT", stop).once("SIGTERM", stop)
fiber.addObserver((exit) => {
  if (Exit.isSuccess(exit)) process.exit(exit.value)
  if (Exit.hasInterrupts(exit)) {
    process.stderr.write("\nstopped\n")
    process.exit(130)
  }
  const error = Exit.findErrorOption(exit)
  mistake(error._tag === "Some" && error.value instanceof Error ? error.value.message : String(exit))
})
