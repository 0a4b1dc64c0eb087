/**
 * Effect's `SqlClient` over `node:sqlite`, for programs on one machine: one file, no server. Needs Node 22.16 or 24. For `@breakwater/core/node/Sqlite`. @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Predicate from "effect/Predicate"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import type * as Scope from "effect/Scope"
import type { SQLInputValue, StatementSync } from "node:sqlite"
import { DatabaseSync } from "node:sqlite"
import { Reactivity, SqlClient, SqlError, Statement } from "./Drivers.ts"

/** @category models @since 0.1.0 */
export interface SqliteOptions {
  /** Path of the file, or `:memory:`. */
  readonly filename: string
  /**
   * How long a statement waits for another process that writes. It blocks this process, as every statement of `node:sqlite` does. Default `"1 second"`.
   */
  readonly busyTimeout?: Duration.Input | undefined
  /**
   * `full` waits for the disk at each commit: nothing is lost when the power fails. `normal` is faster, and may then lose the last commits; a process that dies loses nothing
   * either way. Default `full`. @see https://www.sqlite.org/pragma.html#pragma_synchronous (read 2026-11-21)
   */
  readonly synchronous?: "full" | "normal" | undefined
}

/** The values used when an option is left out. @category constants @since 0.1.0 */
export const defaults = { busyTimeout: "1 second", synchronous: "full" } as const satisfies Partial<SqliteOptions>

/** Statements that are kept prepared. */
const maxPrepared = 256

/** The code of the result as `SqlError` looks for it. @see https://www.sqlite.org/rescode.html (read 2026-11-21) */
const coded = (cause: unknown): unknown => {
  if (!Predicate.isError(cause)) return cause
  const { errcode } = cause as { readonly errcode?: unknown }
  return Object.assign(new Error(cause.message), Predicate.isNumber(errcode) ? { errno: errcode } : {})
}

const failure = (cause: unknown, operation: string): SqlError.SqlError =>
  new SqlError.SqlError({
    reason: SqlError.classifySqliteError(coded(cause), { message: `SQLite: ${operation} failed`, operation })
  })

/** What SQLite can store of a parameter: it knows no booleans and no dates. */
const bound = (value: unknown): SQLInputValue => {
  if (value === undefined) return null
  if (Predicate.isBoolean(value)) return value ? 1 : 0
  if (Predicate.isDate(value)) return value.toISOString()
  return value as SQLInputValue
}

const open = ({ busyTimeout, filename, synchronous }: SqliteOptions): DatabaseSync => {
  const millis = Math.ceil(Duration.toMillis(busyTimeout ?? defaults.busyTimeout))
  const database = new DatabaseSync(filename, { timeout: millis })
  try {
    // Each reader sees the last commit while somebody writes; the mode stays with the file.
    database.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = ${synchronous ?? defaults.synchronous}`)
    return database
  } catch (cause) {
    database.close()
    throw cause
  }
}

/** Opens the file; `make` gives the client over it. Whoever opens it closes it. @category constructors @since 0.1.0 */
export const openDatabase = (options: SqliteOptions): Effect.Effect<DatabaseSync, SqlError.SqlError> =>
  Effect.try({ try: () => open(options), catch: (cause) => failure(cause, "open") })

type Mode = "rows" | "values" | "raw"

const runner = (database: DatabaseSync) => {
  const prepared = new Map<string, StatementSync>()
  const prepare = (text: string): StatementSync => {
    const found = prepared.get(text)
    if (found !== undefined) return found
    const statement = database.prepare(text)
    const oldest = prepared.keys().next()
    if (prepared.size >= maxPrepared && oldest.done !== true) prepared.delete(oldest.value)
    prepared.set(text, statement)
    return statement
  }
  const run = (text: string, params: ReadonlyArray<unknown>, mode: Mode): unknown => {
    const statement = prepare(text)
    const values = params.map(bound)
    if (mode === "raw") return statement.run(...values)
    statement.setReturnArrays(mode === "values")
    return statement.all(...values)
  }
  return (text: string, params: ReadonlyArray<unknown>, mode: Mode) =>
    Effect.try({ try: () => run(text, params, mode), catch: (cause) => failure(cause, "execute") })
}

type Rows = ReadonlyArray<Record<string, unknown>>
type Transform = (<A extends object>(rows: ReadonlyArray<A>) => ReadonlyArray<A>) | undefined

const connectionOf = (database: DatabaseSync) => {
  const run = runner(database)
  const rows = (text: string, params: ReadonlyArray<unknown>, transform: Transform) => {
    const found = run(text, params, "rows") as Effect.Effect<Rows, SqlError.SqlError>
    return transform === undefined ? found : Effect.map(found, transform)
  }
  const values = (text: string, params: ReadonlyArray<unknown>) =>
    run(text, params, "values") as Effect.Effect<ReadonlyArray<ReadonlyArray<unknown>>, SqlError.SqlError>
  return {
    execute: rows,
    executeUnprepared: rows,
    executeRaw: (text: string, params: ReadonlyArray<unknown>) => run(text, params, "raw"),
    executeValues: values,
    executeValuesUnprepared: values,
    executeStream: (text: string, params: ReadonlyArray<unknown>, transform: Transform) =>
      Stream.unwrap(Effect.map(rows(text, params, transform), (found) => Stream.fromIterable(found)))
  }
}

/** The client over a database that is open. @category constructors @since 0.1.0 */
export const make = (database: DatabaseSync): Effect.Effect<SqlClient.SqlClient, never, Reactivity.Reactivity> => {
  const connection = connectionOf(database)
  return SqlClient.make({
    ...SqlClient.makeSqliteAcquirers({
      connection: Effect.succeed(connection),
      semaphore: Semaphore.makeUnsafe(1),
      isTransaction: () => database.isTransaction
    }),
    compiler: Statement.makeCompilerSqlite(),
    driver: "node:sqlite",
    spanAttributes: [["db.system.name", "sqlite"]],
    prepareTransactionControls: true,
    // A transaction that read first and then writes cannot wait for another writer; one that says so at once can.
    beginTransaction: "BEGIN IMMEDIATE"
  })
}

const scoped = (options: SqliteOptions): Effect.Effect<DatabaseSync, SqlError.SqlError, Scope.Scope> =>
  Effect.acquireRelease(openDatabase(options), (database) => Effect.sync(() => database.close()))

/** A client for one file, closed with the layer. @category layers @since 0.1.0 */
export const layer = (options: SqliteOptions): Layer.Layer<SqlClient.SqlClient, SqlError.SqlError> =>
  Layer.effect(SqlClient.SqlClient, Effect.flatMap(scoped(options), make)).pipe(Layer.provide(Reactivity.layer))
