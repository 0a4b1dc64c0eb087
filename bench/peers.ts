/** What Breakwater is compared with, each as its own documents have it. */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import {
  bulkhead,
  circuitBreaker,
  ConsecutiveBreaker,
  ExponentialBackoff,
  handleAll,
  retry,
  timeout,
  TimeoutStrategy,
  wrap
} from "cockatiel"
import { Effect, Layer, Scope } from "effect"
import { HttpClient } from "effect/http"
import { HttpApiClient } from "effect/http-api"
import got from "got"
import { Stripe } from "stripe"
import { request } from "undici"
import { z } from "zod"
import { type Batch, ofEffect, ofPromise } from "./batches.ts"
import { api } from "./declared.ts"

const headers = { authorization: "Bearer sk_bench_0000" }

/** No policy, no schema: the floor. */
export const undici = (url: string): Batch =>
  ofPromise(async () => {
    const response = await request(`${url}/things/a`, { headers })
    return response.body.json()
  })

const policies = () =>
  wrap(
    retry(handleAll, { maxAttempts: 3, backoff: new ExponentialBackoff() }),
    circuitBreaker(handleAll, { halfOpenAfter: 10_000, breaker: new ConsecutiveBreaker(5) }),
    bulkhead(64, 256),
    timeout(10_000, TimeoutStrategy.Cooperative)
  )

export const barePromise = (): Batch => ofPromise(() => Promise.resolve(1))

/** The policies of the reference by themselves. */
export const cockatiel = (): Batch => {
  const policy = policies()
  return ofPromise(() => policy.execute(() => Promise.resolve(1)))
}

/** The reference: what a careful team puts together by hand. */
export const assembled = (url: string): Batch => {
  const schema = z.object({
    id: z.string(),
    items: z.array(z.object({ id: z.number().int(), name: z.string(), tags: z.array(z.string()), price: z.number() }))
  })
  const policy = policies()
  return ofPromise(() =>
    policy.execute(async ({ signal }) => {
      const response = await request(`${url}/things/a`, { signal, headers })
      if (response.statusCode >= 500) throw new Error(`HTTP ${response.statusCode}`)
      return schema.parse(await response.body.json())
    })
  )
}

/** Effect's own: the generated client over its undici layer, with its span, a timeout and its retries. */
export const effect = async (url: string): Promise<Batch> => {
  const layer = await Effect.runPromise(Layer.buildWithScope(NodeHttpClient.layerUndici, Scope.makeUnsafe()))
  const client = await Effect.runPromise(
    HttpApiClient.make(api, {
      baseUrl: url,
      transformClient: (client) => client.pipe(HttpClient.filterStatusOk, HttpClient.retryTransient({ times: 3 }))
    }).pipe(Effect.provideContext(layer))
  )
  return ofEffect(Effect.suspend(() => Effect.timeout(client.things.get({ params: { id: "a" } }), "10 seconds")))
}

export const stripe = (url: string): Batch => {
  const { hostname, port } = new URL(url)
  const client = new Stripe("sk_test_0000", { host: hostname, port, protocol: "http", telemetry: false })
  return ofPromise(() => client.customers.retrieve("a"))
}

export const gotten = (url: string): Batch =>
  ofPromise(() => got.get(`${url}/things/a`, { headers, retry: { limit: 3 }, timeout: { request: 10_000 } }).json())
