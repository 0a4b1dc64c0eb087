/** Links of ids in SQL: what the table holds apart, two unique keys hold apart for everybody. @internal */
import * as Effect from "effect/Effect"
import type { Link } from "../store/LinkStore.ts"
import { LinkStore, LinkTaken, place, problemOf } from "../store/LinkStore.ts"
import type { Now, SqlDatabase } from "./SqlDatabase.ts"

interface Row {
  readonly external_id: string
  readonly internal_id: string
}

/** The links in the tables of a database. @category constructors @since 0.1.0 */
export const make = ({ joined, sql, table }: SqlDatabase): LinkStore["Service"] => {
  const links = table("link")
  const insert = ({ external, internal, scope }: Link, now: Now) => sql`
    INSERT INTO ${links} (scope, external_id, internal_id, linked_at) VALUES (${scope}, ${external}, ${internal}, ${now})
    ON CONFLICT DO NOTHING`
  const byExternal = (scope: string, external: string) =>
    sql<Row>`SELECT external_id, internal_id FROM ${links} WHERE scope = ${scope} AND external_id = ${external}`
  const byInternal = (scope: string, internal: string) =>
    sql<Row>`SELECT external_id, internal_id FROM ${links} WHERE scope = ${scope} AND internal_id = ${internal}`

  return LinkStore.of({
    internalOf: (of) =>
      Effect.suspend(() => {
        const problem = problemOf("internalOf", of)
        if (problem !== undefined) return Effect.fail(problem)
        const found = joined(place("internalOf"), () => byExternal(of.scope, of.external))
        return Effect.map(found, ([row]) => row?.internal_id)
      }),
    externalOf: (of) =>
      Effect.suspend(() => {
        const problem = problemOf("externalOf", of)
        if (problem !== undefined) return Effect.fail(problem)
        const found = joined(place("externalOf"), () => byInternal(of.scope, of.internal))
        return Effect.map(found, ([row]) => row?.external_id)
      }),
    link: (link) =>
      Effect.suspend(() => {
        const problem = problemOf("link", link)
        if (problem !== undefined) return Effect.fail(problem)
        const { external, internal, scope } = link
        const linked = joined(place("link"), (now) => Effect.andThen(insert(link, now), byExternal(scope, external)))
        return Effect.flatMap(linked, ([row]) => {
          if (row?.internal_id === internal) return Effect.void
          return Effect.fail(new LinkTaken({ scope, side: row === undefined ? "internal" : "external" }))
        })
      }),
    unlink: (of) =>
      Effect.suspend(() => {
        const problem = problemOf("unlink", of)
        if (problem !== undefined) return Effect.fail(problem)
        const { external, scope } = of
        return Effect.asVoid(
          joined(place("unlink"), () => sql`DELETE FROM ${links} WHERE scope = ${scope} AND external_id = ${external}`)
        )
      })
  })
}
