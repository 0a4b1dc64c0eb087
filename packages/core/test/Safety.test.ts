import { assert, describe, it } from "@effect/vitest"
import * as Safety from "@breakwater/core/Safety"
import { Context, Duration, Schema } from "effect"
import { HttpApi, HttpApiEndpoint, HttpApiGroup } from "effect/http-api"

const success = { success: Schema.String }
const keys: Safety.KeyOptions = { header: "Idempotency-Key", window: "24 hours", replayedHeader: "Idempotent-Replayed" }

const byMethod = {
  GET: HttpApiEndpoint.get("get", "/x", success),
  HEAD: HttpApiEndpoint.head("head", "/x"),
  OPTIONS: HttpApiEndpoint.options("options", "/x", success),
  PUT: HttpApiEndpoint.put("put", "/x", success),
  DELETE: HttpApiEndpoint.delete("del", "/x", success),
  POST: HttpApiEndpoint.post("post", "/x", success),
  PATCH: HttpApiEndpoint.patch("patch", "/x", success)
}

const { GET: get, POST: post, PUT: put } = byMethod

/** The safety of every endpoint of an API, as the pipeline finds it. */
const safetiesOf = (api: HttpApi.Constraint): Record<string, Safety.Safety> => {
  const found: Record<string, Safety.Safety> = {}
  HttpApi.reflect(api as HttpApi.Top, {
    onGroup: () => undefined,
    onEndpoint: ({ endpoint, group }) => {
      found[`${group.identifier}.${endpoint.identifier}`] = Safety.ofEndpoint(endpoint)
    }
  })
  return found
}

describe("Safety.ofMethod", () => {
  it("knows which methods are safe and which idempotent, and holds the rest unsafe (RFC 9110 §9.2)", () => {
    const methods = ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "POST", "PATCH", "TRACE", "get", ""]

    assert.deepStrictEqual(
      methods.map((method) => Safety.ofMethod(method)),
      ["safe", "safe", "safe", "idempotent", "idempotent", "unsafe", "unsafe", "unsafe", "unsafe", "unsafe"]
    )
  })
})

describe("Safety.ofEndpoint", () => {
  it("is the method's without a marker", () => {
    for (const [method, endpoint] of Object.entries(byMethod)) {
      assert.strictEqual(Safety.ofEndpoint(endpoint), Safety.ofMethod(method), method)
    }
  })

  it("is the marker's, both ways, on every method (SAFE-3)", () => {
    for (const endpoint of Object.values(byMethod)) {
      assert.strictEqual(Safety.ofEndpoint(endpoint.pipe(Safety.safe)), "safe")
      assert.strictEqual(Safety.ofEndpoint(endpoint.pipe(Safety.idempotent)), "idempotent")
      assert.strictEqual(Safety.ofEndpoint(endpoint.pipe(Safety.keyed(keys))), "keyed")
      assert.strictEqual(Safety.ofEndpoint(endpoint.pipe(Safety.unsafe)), "unsafe")
    }
  })

  it("is the strictest of several markers, in whatever order they stand", () => {
    const markers = [Safety.safe, Safety.idempotent, Safety.keyed(keys), Safety.unsafe]
    const expected: ReadonlyArray<Safety.Safety> = ["safe", "idempotent", "keyed", "unsafe"]

    for (let first = 0; first < markers.length; first++) {
      for (let second = 0; second < markers.length; second++) {
        const marked = markers[second]?.(markers[first]?.(post) ?? post) ?? post
        assert.strictEqual(Safety.ofEndpoint(marked), expected[Math.max(first, second)])
      }
    }
  })

  it("stays when a path gets a prefix, and leaves the endpoint that was marked as it was", () => {
    const charge = post.pipe(Safety.keyed(keys))

    assert.strictEqual(Safety.ofEndpoint(charge.prefix("/v1")), "keyed")
    assert.strictEqual(Safety.ofEndpoint(post), "unsafe")
  })

  it("comes from the group too, where the stricter of both counts, also after the API's prefix", () => {
    const reads = HttpApiGroup.make("reads").add(get, post, put.pipe(Safety.unsafe)).pipe(Safety.safe)
    const pays = HttpApiGroup.make("pays").add(post, get.pipe(Safety.safe)).pipe(Safety.keyed(keys)).prefix("/v1")
    const plain = HttpApiGroup.make("plain").add(get, post)
    const api = HttpApi.make("acme").add(reads, pays, plain).prefix("/api")

    assert.deepStrictEqual(safetiesOf(api), {
      "reads.get": "safe",
      "reads.post": "safe",
      "reads.put": "unsafe",
      "pays.post": "keyed",
      "pays.get": "keyed",
      "plain.get": "safe",
      "plain.post": "unsafe"
    })
  })

  it("does not reach endpoints that are added to a group after its marker", () => {
    const late = HttpApiGroup.make("late").add(get).pipe(Safety.unsafe).add(post.pipe(Safety.safe), put)

    assert.deepStrictEqual(safetiesOf(HttpApi.make("acme").add(late)), {
      "late.get": "unsafe",
      "late.post": "safe",
      "late.put": "idempotent"
    })
  })
})

describe("Safety.keyed", () => {
  it("keeps its options on the endpoint and on the group", () => {
    const endpoint = post.pipe(Safety.keyed(keys)).prefix("/v1")
    const group = HttpApiGroup.make("pays").add(post).pipe(Safety.keyed(keys))

    assert.deepStrictEqual(Context.getOrUndefined(endpoint.annotations, Safety.Keys), keys)
    assert.deepStrictEqual(Context.getOrUndefined(group.annotations, Safety.Keys), keys)
  })

  it("is the only marker with options", () => {
    for (const { annotations } of [Safety.safe(post), Safety.idempotent(post), Safety.unsafe(post)]) {
      assert.isUndefined(Context.getOrUndefined(annotations, Safety.Keys))
    }
  })

  it("refuses a window in which no key could ever be sent, on both sides of the boundary", () => {
    const keyed = (window: Duration.Input) => () => Safety.keyed({ header: "Idempotency-Key", window })

    assert.throws(keyed("1 hour"), RangeError, "Safety.keyed: window must be longer than 1h, got 1h")
    assert.throws(keyed("5 minutes"), RangeError, "got 5m")
    assert.doesNotThrow(keyed(Duration.toMillis("1 hour") + 1))
  })
})

describe("Safety.markers", () => {
  it("lists every marker once, for a server to provide", () => {
    assert.deepStrictEqual(Safety.markers, [Safety.Safe, Safety.Idempotent, Safety.Keyed, Safety.Unsafe])
    assert.strictEqual(new Set(Safety.markers.map(({ key }) => key)).size, 4)
  })
})
