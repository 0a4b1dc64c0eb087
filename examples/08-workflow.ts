/**
 * A charge and an e-mail that survive kill -9: an Effect workflow on PostgreSQL whose process is killed as soon as the money has moved, and again as soon as SendGrid has the e-mail, which knows no keys.
 * Teaches how calls run as activities, with an idempotency key and with a record. Run it: `node examples/08-workflow.ts [DATABASE_URL]`. Needs a PostgreSQL; the providers are simulated, on ports of their own.
 */
import { SimulatedSendGrid } from "@breakwater/testkit"
import * as Serve from "@breakwater/testkit/node/Serve"
import { SimulatedStripe } from "@breakwater/testkit/stripe"
import * as PgClient from "@effect/sql-pg/PgClient"
import { Data, Effect, Layer, Redacted } from "effect"
import { SqlClient } from "effect/sql"
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { join } from "node:path"

const server = process.argv[2] ?? "postgresql://postgres@127.0.0.1:5432/postgres"
const name = `breakwater_workflow_${process.pid}`
const order = "8731"

class Failed extends Data.TaggedError("Failed")<{ readonly message: string }> {}

const say = (line: string) => Effect.sync(() => void process.stdout.write(`${line}\n`))

/** A database of its own, since the engine's locks are for all of one; it goes in the end. */
const Database = Layer.effectDiscard(
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* sql`CREATE DATABASE ${sql(name)}`
    yield* Effect.addFinalizer(() => Effect.ignore(sql`DROP DATABASE ${sql(name)} WITH (FORCE)`))
  })
).pipe(Layer.provide(PgClient.layer({ url: Redacted.make(server), connectTimeout: "2 seconds" })))

/** A process that goes with the scope. */
const worker = (urls: ReadonlyArray<string>) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const program = join(import.meta.dirname, "workflow/worker.ts")
      const database = Object.assign(new URL(server), { pathname: name }).href
      // It reads its standard input, and ends when this process does.
      return spawn(process.execPath, [program, database, ...urls, order], {
        stdio: ["pipe", "ignore", "inherit"]
      })
    }),
    (child) => Effect.sync(() => void child.kill("SIGKILL"))
  )

const ended = (child: ChildProcess) =>
  Effect.promise(async () => (child.exitCode ?? child.signalCode) === null && (await once(child, "exit")))

/** Starts one, and kills it as soon as something is so. */
const killed = Effect.fnUntraced(function* (urls: ReadonlyArray<string>, isSo: () => boolean) {
  const child = yield* worker(urls)
  while (!isSo()) {
    if (child.exitCode !== null) return yield* Effect.fail(new Failed({ message: "the worker ended before its time" }))
    yield* Effect.sleep("1 millis")
  }
  child.kill("SIGKILL")
  yield* ended(child)
})

const demonstration = Effect.gen(function* () {
  const stripe = yield* SimulatedStripe.make({ apiKey: "sk_test_workflow" })
  const sendgrid = yield* SimulatedSendGrid.make({ activityLag: "100 millis" })
  const urls = [(yield* Serve.make(stripe)).url, (yield* Serve.make(sendgrid)).url]
  const charges = () => stripe.ledger.ofKind("charge.succeeded").length
  const mails = () => sendgrid.ledger.ofKind("email.accepted").length

  yield* killed(urls, () => charges() > 0)
  yield* say(`charged, and killed: ${mails()} e-mails`)
  yield* killed(urls, () => mails() > 0)
  yield* say(`sent, and killed: ${mails()} e-mail`)

  const last = yield* worker(urls)
  yield* ended(last)
  yield* say(`started again, and ended with ${last.exitCode}`)
  yield* say(`${charges()} charge, ${mails()} e-mail`)

  // Asked for again, the engine tells what came of it: nothing runs.
  yield* ended(yield* worker(urls))
  yield* say(`asked again: ${stripe.ledger.exchanges.length} requests at Stripe, ${mails()} e-mail`)
})

const program = Effect.scoped(Effect.provide(demonstration, Database)).pipe(Effect.timeout("60 seconds"))
const outcome = await Effect.runPromise(Effect.result(program))
if (outcome._tag === "Failure") {
  process.stderr.write(`workflow: ${outcome.failure.message}\n`)
  process.exitCode = 2
}
