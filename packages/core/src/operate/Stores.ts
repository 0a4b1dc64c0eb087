/**
 * The stores in bundles, by where they keep their rows. For a file of SQLite, `@breakwater/core/node/Stores`. @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Options as AnswerOptions } from "../store/AnswerStore.ts"
import * as AnswerStore from "../store/AnswerStore.ts"
import { CircuitStore } from "../store/CircuitStore.ts"
import type { MemoryOptions as IdempotencyOptions } from "../store/IdempotencyStore.ts"
import * as IdempotencyStore from "../store/IdempotencyStore.ts"
import * as LeaseStore from "../store/LeaseStore.ts"
import type { MemoryOptions as LinkOptions } from "../store/LinkStore.ts"
import * as LinkStore from "../store/LinkStore.ts"
import type { MemoryOptions as OutboxOptions } from "../store/OutboxMemory.ts"
import * as OutboxMemory from "../store/OutboxMemory.ts"
import * as OutboxStore from "../store/OutboxStore.ts"
import * as PresenceStore from "../store/PresenceStore.ts"
import type { StoreError } from "../store/StoreError.ts"
import type { Redis, SqlClient } from "./Drivers.ts"
import type { PurgeOptions } from "./Purging.ts"
import * as Purging from "./Purging.ts"
import * as RedisAnswers from "./RedisAnswers.ts"
import * as RedisCircuits from "./RedisCircuits.ts"
import type { RedisOptions } from "./RedisDatabase.ts"
import * as RedisDatabase from "./RedisDatabase.ts"
import * as RedisIdempotency from "./RedisIdempotency.ts"
import * as RedisLeases from "./RedisLeases.ts"
import * as RedisPresence from "./RedisPresence.ts"
import * as SqlAnswers from "./SqlAnswers.ts"
import type { SqlOptions } from "./SqlDatabase.ts"
import * as SqlDatabase from "./SqlDatabase.ts"
import * as SqlIdempotency from "./SqlIdempotency.ts"
import * as SqlLeases from "./SqlLeases.ts"
import * as SqlLinks from "./SqlLinks.ts"
import * as SqlOutbox from "./SqlOutbox.ts"

/** The stores that any of several machines may share. @category models @since 0.1.0 */
export type Shared = IdempotencyStore.IdempotencyStore | AnswerStore.AnswerStore | LeaseStore.LeaseStore

/** All stores. @category models @since 0.1.0 */
export type Stores = Shared | OutboxStore.OutboxStore | LinkStore.LinkStore

/** @category models @since 0.1.0 */
export interface StoreOptions {
  readonly idempotency?: IdempotencyOptions | undefined
  readonly outbox?: OutboxOptions | undefined
  readonly answers?: AnswerOptions | undefined
  /** In memory alone: SQL keeps any number. */
  readonly links?: LinkOptions | undefined
}

export type {
  /** How often rows are forgotten, and how many at once. @category models @since 0.1.0 */
  PurgeOptions
} from "./Purging.ts"

/** What processes tell one another every second or so, which is not worth a transaction: in Redis, and in memory for one process. @category models @since 0.1.0 */
export type Fleet = CircuitStore | PresenceStore.PresenceStore

/** All stores in memory: nothing survives the process, and nobody else sees it. @category layers @since 0.1.0 */
export const layerMemory = (options?: StoreOptions): Layer.Layer<Stores | Fleet> =>
  Layer.mergeAll(
    IdempotencyStore.IdempotencyStore.layerMemory(options?.idempotency),
    AnswerStore.AnswerStore.layerMemory(options?.answers),
    LeaseStore.LeaseStore.layerMemory(),
    CircuitStore.layerMemory,
    OutboxMemory.layer(options?.outbox),
    LinkStore.LinkStore.layerMemory(options?.links),
    PresenceStore.PresenceStore.layerMemory()
  )

/**
 * All stores in the tables of the `SqlClient` at hand, SQLite or PostgreSQL, which are made where they are missing. Outbox commands join the transactions of that client. `Fleet` is not among them.
 * @category layers @since 0.1.0
 */
export const layerSql = (options?: StoreOptions & SqlOptions): Layer.Layer<Stores, StoreError, SqlClient.SqlClient> =>
  Layer.effectContext(
    Effect.map(SqlDatabase.make(options), (database) =>
      Context.make(IdempotencyStore.IdempotencyStore, SqlIdempotency.make(database, options?.idempotency)).pipe(
        Context.add(AnswerStore.AnswerStore, SqlAnswers.make(database, options?.answers)),
        Context.add(LeaseStore.LeaseStore, SqlLeases.make(database)),
        Context.add(OutboxStore.OutboxStore, SqlOutbox.make(database, options?.outbox)),
        Context.add(LinkStore.LinkStore, SqlLinks.make(database))
      )
    )
  )

/** All stores in PostgreSQL, over the client of the app, such as `PgClient.layer({ url })` of `@effect/sql-pg`. @category layers @since 0.1.0 */
export const layerPostgres = (
  options?: StoreOptions & SqlOptions
): Layer.Layer<Stores, StoreError, SqlClient.SqlClient> => layerSql(options)

/**
 * The shared stores in the `Redis` at hand, such as `NodeRedis.layer({ url })`. There is no outbox, and there are no links: both belong into the transaction of what they are about.
 * @category layers @since 0.1.0
 */
export const layerRedis = (
  options?: Omit<StoreOptions, "outbox" | "links"> & RedisOptions
): Layer.Layer<Shared | Fleet, never, Redis.Redis> =>
  Layer.effectContext(
    Effect.map(RedisDatabase.make(options), (database) =>
      Context.make(IdempotencyStore.IdempotencyStore, RedisIdempotency.make(database, options?.idempotency)).pipe(
        Context.add(AnswerStore.AnswerStore, RedisAnswers.make(database, options?.answers)),
        Context.add(LeaseStore.LeaseStore, RedisLeases.make(database)),
        Context.add(CircuitStore, RedisCircuits.make(database)),
        Context.add(PresenceStore.PresenceStore, RedisPresence.make(database))
      )
    )
  )

/**
 * Forgets, in the background, what is done and over: settled records whose retention has ended, answers that have expired, commands that are done. Every program with durable stores needs
 * it once, in one of its processes or in all. A store that is down is purged the next time. Throws a `RangeError` for an option out of range.
 * @category layers @since 0.1.0
 */
export const layerPurge = (
  options?: PurgeOptions
): Layer.Layer<never, never, IdempotencyStore.IdempotencyStore | AnswerStore.AnswerStore | OutboxStore.OutboxStore> =>
  Purging.layerPurge(options)
