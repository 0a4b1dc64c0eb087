/** What the types know of an operation's safety, checked by `tsc` alone: by method, by marker, on endpoint and group, after `prefix`. */
import type { HttpApi } from "@breakwater/core/PlatformApi"
import * as Safety from "@breakwater/core/Safety"
import { Schema } from "effect"
import { HttpApi as Api, HttpApiEndpoint, HttpApiGroup } from "effect/http-api"
import { expectTypeOf } from "vitest"

const success = { success: Schema.String }
const keys: Safety.KeyOptions = { header: "Idempotency-Key", window: "24 hours" }

const get = HttpApiEndpoint.get("get", "/x", success)
const head = HttpApiEndpoint.head("head", "/x")
const options = HttpApiEndpoint.options("options", "/x", success)
const put = HttpApiEndpoint.put("put", "/x", success)
const del = HttpApiEndpoint.delete("del", "/x", success)
const post = HttpApiEndpoint.post("post", "/x", success)
const patch = HttpApiEndpoint.patch("patch", "/x", success)

// The method gives the default (RFC 9110 §9.2).
expectTypeOf<Safety.OfEndpoint<typeof get>>().toEqualTypeOf<"safe">()
expectTypeOf<Safety.OfEndpoint<typeof head>>().toEqualTypeOf<"safe">()
expectTypeOf<Safety.OfEndpoint<typeof options>>().toEqualTypeOf<"safe">()
expectTypeOf<Safety.OfEndpoint<typeof put>>().toEqualTypeOf<"idempotent">()
expectTypeOf<Safety.OfEndpoint<typeof del>>().toEqualTypeOf<"idempotent">()
expectTypeOf<Safety.OfEndpoint<typeof post>>().toEqualTypeOf<"unsafe">()
expectTypeOf<Safety.OfEndpoint<typeof patch>>().toEqualTypeOf<"unsafe">()

// A marker overrides it both ways, on every method.
const searching = post.pipe(Safety.safe)
const upserting = post.pipe(Safety.idempotent)
const charging = post.pipe(Safety.keyed(keys))
const ringing = get.pipe(Safety.unsafe)
const keyedPut = put.pipe(Safety.keyed(keys))
const unsafeDelete = del.pipe(Safety.unsafe)
const safePatch = patch.pipe(Safety.safe)
const idempotentGet = get.pipe(Safety.idempotent)

expectTypeOf<Safety.OfEndpoint<typeof searching>>().toEqualTypeOf<"safe">()
expectTypeOf<Safety.OfEndpoint<typeof upserting>>().toEqualTypeOf<"idempotent">()
expectTypeOf<Safety.OfEndpoint<typeof charging>>().toEqualTypeOf<"keyed">()
expectTypeOf<Safety.OfEndpoint<typeof ringing>>().toEqualTypeOf<"unsafe">()
expectTypeOf<Safety.OfEndpoint<typeof keyedPut>>().toEqualTypeOf<"keyed">()
expectTypeOf<Safety.OfEndpoint<typeof unsafeDelete>>().toEqualTypeOf<"unsafe">()
expectTypeOf<Safety.OfEndpoint<typeof safePatch>>().toEqualTypeOf<"safe">()
expectTypeOf<Safety.OfEndpoint<typeof idempotentGet>>().toEqualTypeOf<"idempotent">()

// Where there are several, the strictest counts, in whatever order they stand.
const all = post.pipe(Safety.safe, Safety.idempotent, Safety.keyed(keys), Safety.unsafe)
const twoWays = post.pipe(Safety.keyed(keys), Safety.safe)
const threeWays = post.pipe(Safety.idempotent, Safety.safe)

expectTypeOf<Safety.OfEndpoint<typeof all>>().toEqualTypeOf<"unsafe">()
expectTypeOf<Safety.OfEndpoint<typeof twoWays>>().toEqualTypeOf<"keyed">()
expectTypeOf<Safety.OfEndpoint<typeof threeWays>>().toEqualTypeOf<"idempotent">()

// `prefix` makes a copy; the safety stays.
const prefixedGet = get.prefix("/v1")
const prefixedCharge = charging.prefix("/v1")
const prefixedRing = ringing.prefix("/v1")

expectTypeOf<Safety.OfEndpoint<typeof prefixedGet>>().toEqualTypeOf<"safe">()
expectTypeOf<Safety.OfEndpoint<typeof prefixedCharge>>().toEqualTypeOf<"keyed">()
expectTypeOf<Safety.OfEndpoint<typeof prefixedRing>>().toEqualTypeOf<"unsafe">()

// A group's marker is its endpoints', also after `prefix` of the group and of the whole API.
type Endpoint<G extends HttpApiGroup.Constraint, Name extends keyof G["endpoints"]> = Safety.OfEndpoint<
  G["endpoints"][Name]
>

const reading = HttpApiGroup.make("reading").add(get, post).pipe(Safety.safe)
const paying = HttpApiGroup.make("paying").add(post, ringing, del).pipe(Safety.keyed(keys)).prefix("/v1")
const plain = HttpApiGroup.make("plain").add(post, get)
const late = HttpApiGroup.make("late").pipe(Safety.safe).add(post)

expectTypeOf<Endpoint<typeof reading, "get">>().toEqualTypeOf<"safe">()
expectTypeOf<Endpoint<typeof reading, "post">>().toEqualTypeOf<"safe">()
expectTypeOf<Endpoint<typeof paying, "post">>().toEqualTypeOf<"keyed">()
expectTypeOf<Endpoint<typeof paying, "del">>().toEqualTypeOf<"keyed">()
expectTypeOf<Endpoint<typeof paying, "get">>().toEqualTypeOf<"unsafe">()
expectTypeOf<Endpoint<typeof plain, "post">>().toEqualTypeOf<"unsafe">()
expectTypeOf<Endpoint<typeof plain, "get">>().toEqualTypeOf<"safe">()
// An endpoint that is added after the marker does not have it: `middleware` of a group marks those that are there.
expectTypeOf<Endpoint<typeof late, "post">>().toEqualTypeOf<"unsafe">()

const api = Api.make("acme").add(reading, paying).prefix("/api")
type GroupOf<A, Name extends string> =
  A extends HttpApi.HttpApi<infer _, infer Groups> ? HttpApiGroup.WithIdentifier<Groups, Name> : never

expectTypeOf<Endpoint<GroupOf<typeof api, "reading">, "post">>().toEqualTypeOf<"safe">()
expectTypeOf<Endpoint<GroupOf<typeof api, "paying">, "post">>().toEqualTypeOf<"keyed">()

// What is no endpoint is treated as unsafe.
expectTypeOf<Safety.OfEndpoint<{}>>().toEqualTypeOf<"unsafe">()

// Only endpoints and groups can be marked.
// @ts-expect-error a whole API carries no marker
Safety.safe(api)
// @ts-expect-error the provider's header must be named
Safety.keyed({ window: "24 hours" })
