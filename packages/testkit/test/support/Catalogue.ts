/** A provider with much to read: a list of 100,000 items in pages, and the same as one body of 5 MB. */
import { Context, Effect, Redacted, Result, Schema } from "effect"
import { HttpApi, HttpApiBuilder, HttpApiEndpoint, HttpApiGroup } from "effect/http-api"
import * as Auth from "@breakwater/core/Auth"
import * as Client from "@breakwater/core/Client"
import * as Provider from "@breakwater/core/Provider"
import { Cursors, Ledger, SimulatedProvider } from "@breakwater/testkit"

const Item = Schema.Struct({ id: Schema.Int, name: Schema.String, price: Schema.Int })
export type Item = typeof Item.Type

const api = HttpApi.make("catalogue").add(
  HttpApiGroup.make("items").add(
    HttpApiEndpoint.get("list", "/items", {
      query: { cursor: Schema.optional(Schema.String), limit: Schema.optional(Schema.Int) },
      success: Schema.Struct({ items: Schema.Array(Item), next: Schema.optional(Schema.String) })
    }),
    HttpApiEndpoint.get("export", "/items.json", { success: Schema.Array(Item) })
  )
)

export const provider = Provider.make("catalogue", {
  api,
  environments: { sandbox: "https://catalogue.test", production: "https://api.catalogue.test" },
  auth: Auth.bearer()
})

export class Catalogue extends Context.Service<Catalogue, Client.Of<typeof provider>>()("test/Catalogue") {
  static readonly layer = Client.layer(Catalogue, provider, { credential: Redacted.make("key-123") })
}

export const items: ReadonlyArray<Item> = Array.from({ length: 100_000 }, (_, id) => ({
  id,
  name: `item number ${id}`,
  price: id % 1000
}))

const cursors = new Cursors<Item>({ idOf: ({ id }) => String(id), maxLimit: 500, lifetime: "1 hour" })

const handlers = HttpApiBuilder.group(api, "items", (handlers) =>
  handlers
    .handle("list", ({ query }) =>
      Effect.clockWith((clock) => {
        const page = cursors.page(items, { ...query, now: clock.currentTimeMillisUnsafe() })
        return Result.isSuccess(page) ? Effect.succeed(page.success) : Effect.die(new Error(page.failure))
      })
    )
    .handle("export", () => Effect.succeed(items))
)

export const make = () => SimulatedProvider.make({ provider, handlers, ledger: new Ledger() })

/** Reads the list to its end. */
export const walk = Effect.gen(function* () {
  const catalogue = yield* Catalogue
  const read: Array<Item> = []
  let cursor: string | undefined
  do {
    const page = yield* catalogue.items.list({ query: { cursor, limit: 500 } })
    read.push(...page.items)
    cursor = page.next
  } while (cursor !== undefined)
  return read
})
