/**
 * What the SQL stores have in common, written once for SQLite and PostgreSQL: the store's now, its errors, its bound on time, and its tables.
 * @internal
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import type { Place, Problem } from "../store/StoreError.ts"
import { make as storeError, StoreError } from "../store/StoreError.ts"
import * as Redaction from "../vocabulary/Redaction.ts"
import { inOrder, within } from "./Bounded.ts"
import type { SqlError, Statement } from "./Drivers.ts"
import { Migrator, SqlClient } from "./Drivers.ts"
import { migrations } from "./SqlMigrations.ts"

/** @category models @since 0.1.0 */
export interface SqlOptions {
  /** What the names of all tables begin with: letters, digits and `_`, at most 30. Default `breakwater`. */
  readonly prefix?: string | undefined
  /** How long one request may take, waiting for a connection included. Default `"5 seconds"`. */
  readonly timeout?: Duration.Input | undefined
}

/** The values used when an option is left out. */
const defaults = { prefix: "breakwater", timeout: "5 seconds" } as const satisfies SqlOptions

/** The time of a statement: a parameter or an expression, the same wherever it stands in it. @category models @since 0.1.0 */
export type Now = Statement.Fragment

/** @category models @since 0.1.0 */
export interface SqlDatabase {
  readonly sql: SqlClient.SqlClient
  /** The name of a table, quoted. */
  readonly table: (name: string) => Statement.Fragment
  /** Runs on a connection of its own: a transaction of the caller's cannot take it back. */
  readonly alone: <A>(place: Place, f: (now: Now) => Request<A>) => Effect.Effect<A, StoreError>
  /** Runs in the transaction of the caller, if there is one. */
  readonly joined: <A>(place: Place, f: (now: Now) => Request<A>) => Effect.Effect<A, StoreError>
  /** The lock that a read takes on the rows that it picks, so that others pass them over. */
  readonly skipLocked: Statement.Fragment
}

/** @category models @since 0.1.0 */
export type Request<A> = Effect.Effect<A, SqlError.SqlError | StoreError>

/** The server's time at the start of the statement, in milliseconds. */
const serverNow = "CAST(floor(extract(epoch FROM statement_timestamp()) * 1000) AS double precision)"

const prefixPattern = /^[a-z_][a-z0-9_]{0,29}$/iu

const redaction = Redaction.make()

const problems: Readonly<Record<string, Problem>> = {
  ConnectionError: "unavailable",
  AuthenticationError: "unavailable",
  DeadlockError: "busy",
  SerializationError: "busy",
  LockTimeoutError: "busy",
  StatementTimeoutError: "timeout"
}

/**
 * What drivers say in codes only. SQLite's result codes 11, 13 and 26, and PostgreSQL's classes 53 and XX.
 * @see https://www.sqlite.org/rescode.html and https://www.postgresql.org/docs/current/errcodes-appendix.html (read 2026-11-21)
 */
const codes = new Map<unknown, Problem>([
  [11, "corrupt"],
  [13, "full"],
  [26, "corrupt"],
  ["53100", "full"],
  ["53200", "full"],
  ["53300", "unavailable"],
  ["XX001", "corrupt"],
  ["XX002", "corrupt"]
])

const byCode = (cause: unknown): Problem | undefined => {
  if (Predicate.hasProperty(cause, "errno")) return codes.get(cause.errno)
  return Predicate.hasProperty(cause, "code") ? codes.get(cause.code) : undefined
}

/** An error of the driver, without what it holds on to. @category constructors @since 0.1.0 */
export const fromSql = (place: Place, { reason }: SqlError.SqlError): StoreError => {
  const problem = byCode(reason.cause) ?? problems[reason._tag] ?? "failed"
  const { message } = Redaction.safeCause(reason.cause, redaction)
  return storeError(place, problem, message.slice(0, 300))
}

const mapped = (place: Place, error: SqlError.SqlError | StoreError): StoreError =>
  error instanceof StoreError ? error : fromSql(place, error)

/** Makes the tables where they are missing, and gives what the stores run on. Throws a `RangeError` for a prefix that is no name. @category constructors @since 0.1.0 */
export const make = Effect.fnUntraced(function* (options?: SqlOptions) {
  const sql = yield* SqlClient.SqlClient
  const prefix = options?.prefix ?? defaults.prefix
  if (!prefixPattern.test(prefix)) throw new RangeError(`SqlDatabase.make: prefix must be a name, got "${prefix}"`)
  const timeout = Duration.fromInputUnsafe(options?.timeout ?? defaults.timeout)
  const isSqlite = sql.onDialectOrElse({ sqlite: () => true, orElse: () => false })
  const server = sql.literal(serverNow)

  const asked = <A>(place: Place, request: (now: Now) => Request<A>): Effect.Effect<A, StoreError> =>
    Effect.mapError(
      Clock.clockWith((clock) => request(isSqlite ? sql`${clock.currentTimeMillisUnsafe()}` : server)),
      (error) => mapped(place, error)
    )
  const isJoined = (fiber: Fiber.Fiber<unknown, unknown>): boolean =>
    Option.isSome(Context.getOption(fiber.context, sql.transactionService))
  const inTransaction = (place: Place) =>
    storeError(place, "in transaction", "SQLite has one writer: make the call before or after the transaction")
  const database: SqlDatabase = {
    sql,
    table: (name) => sql`${sql(`${prefix}_${name}`)}`,
    joined: (place, request) =>
      Effect.withFiber((fiber) => (isJoined(fiber) ? inOrder : within)(place, timeout, asked(place, request))),
    alone: (place, request) =>
      Effect.withFiber((fiber) => {
        const alone = within(place, timeout, asked(place, request))
        if (!isJoined(fiber)) return alone
        if (isSqlite) return Effect.fail(inTransaction(place))
        return Effect.updateContext(alone, (context: Context.Context<never>) =>
          Context.omit(sql.transactionService)(context)
        )
      }),
    skipLocked: sql.literal(isSqlite ? "" : "FOR UPDATE SKIP LOCKED")
  }
  yield* migrate(prefix, timeout)
  return database
})

const migrate = (prefix: string, timeout: Duration.Duration) => {
  const place = { store: "sql", operation: "migrate" }
  const run = Migrator.make({})({ loader: Migrator.fromRecord(migrations(prefix)), table: `${prefix}_migrations` })
  return run.pipe(
    Effect.mapError((error) => {
      if (error._tag === "SqlError") return fromSql(place, error)
      const { cause } = error
      return Predicate.isTagged(cause, "SqlError")
        ? fromSql(place, cause as SqlError.SqlError)
        : storeError(place, "failed", error.message.slice(0, 300))
    }),
    Effect.timeoutOrElse({
      duration: Duration.times(timeout, 4),
      orElse: () => Effect.fail(storeError(place, "timeout", "the tables could not be made in time"))
    })
  )
}
