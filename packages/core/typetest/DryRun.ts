/** What a dry run may give, checked by `tsc` alone: what the endpoint succeeds with, and nothing else. */
import * as Operation from "@breakwater/core/Operation"
import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiSchema } from "effect/http-api"
import { expectTypeOf } from "vitest"

const add = HttpApiEndpoint.post("add", "/notes", { success: Schema.Struct({ id: Schema.String, at: Schema.Date }) })
const drop = HttpApiEndpoint.post("drop", "/notes/all", { success: HttpApiSchema.NoContent })

// The type of the endpoint stays as it was.
expectTypeOf(add.pipe(Operation.dryRun({ id: "dry-run", at: new Date(0) }))).toEqualTypeOf<typeof add>()
expectTypeOf(drop.pipe(Operation.dryRun(undefined))).toEqualTypeOf<typeof drop>()

// @ts-expect-error the date is missing
add.pipe(Operation.dryRun({ id: "dry-run" }))
// @ts-expect-error a value as it is sent, and not as it is decoded
add.pipe(Operation.dryRun({ id: "dry-run", at: "2026-11-21" }))
// @ts-expect-error there is no content
drop.pipe(Operation.dryRun("gone"))
