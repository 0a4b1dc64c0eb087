/**
 * Requests to try an operation with, from the schemas of its declaration.
 * @internal
 */
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import { Arbitrary } from "../Platform.ts"
import { ConformanceError } from "./Options.ts"
import type { Subject } from "./Subject.ts"

/** How many requests are tried before it is said that none succeeds. */
const maxSamples = 20

type Parts = { readonly [Part in "params" | "query" | "headers" | "payload"]?: Schema.Top }

const partsOf = ({ endpoint }: Subject): Parts => {
  const [payload] = [...endpoint.payload.values()].flatMap(({ schemas }) => [...schemas])
  return {
    ...(endpoint.params === undefined ? {} : { params: endpoint.params }),
    ...(endpoint.query === undefined ? {} : { query: endpoint.query }),
    ...(endpoint.headers === undefined ? {} : { headers: endpoint.headers }),
    ...(Predicate.isNotUndefined(payload) ? { payload } : {})
  }
}

/** Values of a schema, the same in every run. */
const valuesOf = (schema: Schema.Top): ReadonlyArray<unknown> =>
  Effect.runSync(Arbitrary.sampleEffect(Arbitrary.schema(schema), { count: maxSamples, seed: 1, size: 8 }))

/** Requests by chance, the same in every run. Throws a `ConformanceError` where a schema cannot be made values of. @category constructors @since 0.1.0 */
export const of = (subject: Subject): ReadonlyArray<unknown> => {
  const made = Object.entries(partsOf(subject)).map(([part, schema]) => {
    const values = Result.try(() => valuesOf(schema))
    if (Result.isSuccess(values)) return [part, values.success] as const
    throw new ConformanceError(
      `${subject.operation.name}: no request can be made of its ${part}: give one, as operations["${subject.path}"].request`
    )
  })
  return Array.from({ length: made.length === 0 ? 1 : maxSamples }, (_, index) =>
    Object.fromEntries(made.map(([part, values]) => [part, values[index]]))
  )
}
