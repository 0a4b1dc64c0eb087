/** The shop's process as a real one: manner, file of the store and URL of the provider are its arguments. */
import { Effect } from "effect"
import { FetchHttpClient, HttpClient, HttpClientRequest } from "effect/http"
import * as KillPoint from "@breakwater/testkit/node/KillPoint"
import * as Shop from "./Shop.ts"
import * as SqliteStore from "./SqliteStore.ts"

const [, , manner = "keyed", file = "", url = ""] = process.argv

const main = Effect.gen(function* () {
  const store = yield* SqliteStore.make(file)
  const client = yield* HttpClient.HttpClient
  const served = HttpClient.mapRequest(client, (request) =>
    HttpClientRequest.setUrl(request, request.url.replace("https://api.stripe.com", url))
  )
  yield* Shop.pay(manner as Shop.Manner, served, store)
})

await Effect.runPromise(Effect.scoped(main).pipe(Effect.provide([FetchHttpClient.layer, KillPoint.layer])))
