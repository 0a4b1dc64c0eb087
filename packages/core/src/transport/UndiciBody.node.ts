/**
 * The body of a request as undici takes it. @internal
 */
import type * as Context from "effect/Context"
import * as Stream from "effect/Stream"
import { Readable } from "node:stream"
import type * as Undici from "undici"
import type { HttpClientRequest } from "../vocabulary/Platform.ts"

type DispatchOptions = Undici.Dispatcher.DispatchOptions

/** @category models @since 0.1.0 */
export interface Sent {
  readonly body: Exclude<DispatchOptions["body"], undefined>
  readonly headers: Readonly<Record<string, string>>
}

/** Undici knows its own forms only; the values, files among them, are the same. */
const formOf = (form: FormData, undici: typeof Undici): Undici.FormData => {
  const converted = new undici.FormData()
  for (const [name, value] of form) converted.append(name, value)
  return converted
}

const withoutType = ({ "content-type": _, ...headers }: Readonly<Record<string, string>>): Sent["headers"] => headers

/** What is sent of a request, with which headers. A stream runs in `context` when it is sent. @category constructors @since 0.1.0 */
export const of = (
  { body }: HttpClientRequest.HttpClientRequest,
  headers: Readonly<Record<string, string>>,
  undici: typeof Undici,
  context: Context.Context<never>
): Sent => {
  switch (body._tag) {
    case "Empty":
      return { body: null, headers }
    case "Uint8Array":
      return { body: body.text ?? body.body, headers }
    case "Raw":
      return { body: body.body as Sent["body"], headers }
    case "FormData":
      // Undici writes the type itself, with the boundary that it chose.
      return { body: formOf(body.formData, undici), headers: withoutType(headers) }
    case "Stream":
      return {
        body: Readable.from(Stream.toAsyncIterableWith(body.stream, context), { objectMode: false }),
        headers
      }
  }
}
