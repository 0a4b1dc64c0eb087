/** Leases in SQL: one statement each. @internal */
import * as Effect from "effect/Effect"
import type { Lease } from "../store/LeaseStore.ts"
import { LeaseStore, problemOf, staleLease } from "../store/LeaseStore.ts"
import type { Place } from "../store/StoreError.ts"
import type { Now, SqlDatabase } from "./SqlDatabase.ts"

const place = (operation: string): Place => ({ store: "lease", operation })

interface Row {
  readonly fence: number
  readonly until_at: number
}

/** So often names whose lease ended more than a day ago are forgotten, and so many at most: by then the clock is above their fence. */
const sweep = { every: 1000, limit: 2000, afterMillis: 86_400_000 }

/** The leases in the tables of a database. @category constructors @since 0.1.0 */
export const make = (database: SqlDatabase): LeaseStore["Service"] => {
  const { alone, sql, table } = database
  const leases = table("lease")
  const end = (now: Now, millis: number) => sql`${now} + CAST(${millis} AS double precision)`
  let acquired = 0

  const forget = (now: Now) => sql`DELETE FROM ${leases} WHERE name IN (
    SELECT name FROM ${leases} WHERE until_at < ${now} - ${sweep.afterMillis} LIMIT ${sweep.limit} ${database.skipLocked})`
  const take = (name: string, millis: number, now: Now) => sql<Row>`
    INSERT INTO ${leases} AS held (name, fence, until_at) VALUES (${name}, ${now}, ${end(now, millis)})
    ON CONFLICT (name) DO UPDATE SET until_at = excluded.until_at,
      fence = CASE WHEN excluded.fence > held.fence THEN excluded.fence ELSE held.fence + 1 END
    WHERE held.until_at <= ${now} RETURNING fence, until_at`
  const leaseOf = (name: string, row: Row | undefined): Lease | undefined =>
    row === undefined ? undefined : { name, fence: row.fence, until: row.until_at }

  return LeaseStore.of({
    acquire: (name, millis) =>
      Effect.suspend(() => {
        const problem = problemOf(name)
        if (problem !== undefined) return Effect.fail(problem)
        const isDue = ++acquired % sweep.every === 0
        return alone(place("acquire"), (now) => {
          const taken = Effect.map(take(name, millis, now), ([row]) => leaseOf(name, row))
          return isDue ? Effect.tap(taken, forget(now)) : taken
        })
      }),
    renew: (lease, millis) =>
      alone(
        place("renew"),
        (now) =>
          sql<Row>`UPDATE ${leases} SET until_at = ${end(now, millis)}
          WHERE name = ${lease.name} AND fence = ${lease.fence} AND until_at > ${now} RETURNING fence, until_at`
      ).pipe(
        Effect.flatMap(([row]) => {
          const renewed = leaseOf(lease.name, row)
          return renewed === undefined ? Effect.fail(staleLease(lease, undefined)) : Effect.succeed(renewed)
        })
      ),
    release: ({ fence, name }) =>
      Effect.asVoid(
        alone(
          place("release"),
          (now) =>
            sql`UPDATE ${leases} SET until_at = ${now} WHERE name = ${name} AND fence = ${fence} AND until_at > ${now}`
        )
      )
  })
}
