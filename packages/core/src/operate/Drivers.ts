/**
 * The unstable modules of Effect that reach databases, each imported here and nowhere else in our packages (ADR 0001), apart from those of `Platform` so that a program
 * without a database does not load them. @internal
 */
export * as Redis from "effect/persistence/Redis"
export * as Reactivity from "effect/reactivity/Reactivity"
export * as Migrator from "effect/sql/Migrator"
export * as SqlClient from "effect/sql/SqlClient"
export * as SqlError from "effect/sql/SqlError"
export * as Statement from "effect/sql/Statement"
