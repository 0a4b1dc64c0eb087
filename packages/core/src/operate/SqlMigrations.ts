/**
 * The tables of the SQL stores, by the number of the change that made them. A change that was released is never edited: another one follows. @internal
 */
import * as Effect from "effect/Effect"
import { SqlClient } from "./Drivers.ts"

/** Instants are milliseconds, as JavaScript has them: both dialects give a `double precision` back as a number. */
const idempotency = (prefix: string) => [
  `CREATE TABLE ${prefix}_idempotency (
    scope text NOT NULL,
    key text NOT NULL,
    state text NOT NULL,
    fingerprint text NOT NULL,
    fence double precision NOT NULL,
    lease_until double precision,
    first_sent_at double precision,
    changed_at double precision NOT NULL,
    expires_at double precision,
    payload_version integer,
    payload text,
    PRIMARY KEY (scope, key)
  )`,
  `CREATE INDEX ${prefix}_idempotency_expiry ON ${prefix}_idempotency (expires_at) WHERE expires_at IS NOT NULL`,
  `CREATE INDEX ${prefix}_idempotency_open ON ${prefix}_idempotency (changed_at) WHERE expires_at IS NULL`
]

const outbox = (prefix: string, sequence: string) => [
  `CREATE TABLE ${prefix}_outbox (
    sequence ${sequence},
    queue text NOT NULL,
    key text NOT NULL,
    ordering_key text,
    state text NOT NULL,
    fence integer NOT NULL,
    attempts integer NOT NULL,
    due_at double precision NOT NULL,
    added_at double precision NOT NULL,
    sent_at double precision,
    unknown integer NOT NULL DEFAULT 0,
    note text,
    payload_version integer NOT NULL,
    payload text NOT NULL,
    UNIQUE (queue, key)
  )`,
  `CREATE INDEX ${prefix}_outbox_due ON ${prefix}_outbox (queue, due_at, sequence) WHERE state IN ('Ready', 'Scheduled', 'Claimed')`,
  `CREATE INDEX ${prefix}_outbox_order ON ${prefix}_outbox (queue, ordering_key, sequence)
    WHERE state IN ('Ready', 'Scheduled', 'Claimed', 'Dead')`,
  `CREATE INDEX ${prefix}_outbox_over ON ${prefix}_outbox (due_at) WHERE state IN ('Done', 'Discarded')`
]

const answers = (prefix: string) => [
  `CREATE TABLE ${prefix}_answer (
    key text PRIMARY KEY,
    payload_version integer NOT NULL,
    payload text NOT NULL,
    stored_at double precision NOT NULL,
    expires_at double precision NOT NULL
  )`,
  `CREATE INDEX ${prefix}_answer_expiry ON ${prefix}_answer (expires_at)`,
  `CREATE INDEX ${prefix}_answer_age ON ${prefix}_answer (stored_at)`,
  `CREATE TABLE ${prefix}_answer_tag (tag text NOT NULL, key text NOT NULL, PRIMARY KEY (tag, key))`,
  `CREATE INDEX ${prefix}_answer_tag_key ON ${prefix}_answer_tag (key)`
]

const leases = (prefix: string) => [
  `CREATE TABLE ${prefix}_lease (name text PRIMARY KEY, fence double precision NOT NULL, until_at double precision NOT NULL)`,
  `CREATE INDEX ${prefix}_lease_end ON ${prefix}_lease (until_at)`
]

const first = (prefix: string) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const sequence = sql.onDialectOrElse({
      sqlite: () => "integer PRIMARY KEY AUTOINCREMENT",
      orElse: () => "bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
    })
    const statements = [...idempotency(prefix), ...outbox(prefix, sequence), ...answers(prefix), ...leases(prefix)]
    for (const statement of statements) yield* sql.unsafe(statement)
  })

/** Two unique keys: one id of theirs for one of ours, both ways. */
const links = (prefix: string) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* sql.unsafe(`CREATE TABLE ${prefix}_link (
    scope text NOT NULL,
    external_id text NOT NULL,
    internal_id text NOT NULL,
    linked_at double precision NOT NULL,
    PRIMARY KEY (scope, external_id),
    UNIQUE (scope, internal_id)
  )`)
  })

/** The changes, for Effect's `Migrator`. @category constants @since 0.1.0 */
export const migrations = (prefix: string) => ({ "1_stores": first(prefix), "2_links": links(prefix) })
