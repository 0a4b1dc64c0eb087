/** A provider of large files: each is streamed in pieces, and may be as large as a test says. */
import { Context, Effect, Redacted, Schema, Stream } from "effect"
import { HttpApi, HttpApiBuilder, HttpApiEndpoint, HttpApiGroup, HttpApiSchema } from "effect/http-api"
import * as Auth from "@breakwater/core/Auth"
import * as Body from "@breakwater/core/Body"
import * as Client from "@breakwater/core/Client"
import * as Provider from "@breakwater/core/Provider"
import { Ledger, SimulatedProvider } from "@breakwater/testkit"

const api = HttpApi.make("archive").add(
  HttpApiGroup.make("files").add(
    HttpApiEndpoint.get("get", "/files/:pieces", { params: { pieces: Schema.Int }, success: Body.streaming() }),
    HttpApiEndpoint.put("put", "/files/:pieces", {
      params: { pieces: Schema.Int },
      payload: HttpApiSchema.StreamUint8Array(),
      success: Schema.Struct({ bytes: Schema.Int })
    }),
    HttpApiEndpoint.post("send", "/files", {
      payload: HttpApiSchema.StreamUint8Array(),
      success: Schema.Struct({ bytes: Schema.Int })
    })
  )
)

export const provider = Provider.make("archive", {
  api,
  environments: { sandbox: "https://archive.test", production: "https://api.archive.test" },
  auth: Auth.bearer()
})

export type ArchiveClient = Client.Of<typeof provider>

export class Archive extends Context.Service<Archive, ArchiveClient>()("test/Archive") {}

export const layer = (options?: Partial<Client.LayerOptions>) =>
  Client.layer(Archive, provider, { credential: Redacted.make("key-123"), ...options })

/** Bytes of each piece that is not numbered. */
export const pieceBytes = 64 * 1024
const piece = new Uint8Array(pieceBytes)

/** Few pieces are numbered, one byte each, so that one that comes twice is seen; many are all the same, and take no memory. */
const piecesOf = (count: number): Iterable<Uint8Array> =>
  Array.from({ length: count }, (_, index) => (count <= 16 ? Uint8Array.of(index) : piece))

const count = (payload: Stream.Stream<Uint8Array, unknown>) =>
  Stream.runFold(
    Stream.orDie(payload),
    () => ({ bytes: 0 }),
    ({ bytes }, each) => ({ bytes: bytes + each.length })
  )

/** What was stored, by the number of its bytes. */
export const make = Effect.suspend(() => {
  const ledger = new Ledger()
  const stored = (payload: Stream.Stream<Uint8Array, unknown>) =>
    Effect.tap(count(payload), ({ bytes }) => Effect.sync(() => ledger.record({ kind: "stored", amount: bytes })))
  const handlers = HttpApiBuilder.group(api, "files", (handlers) =>
    handlers
      .handle("get", ({ params }) => Effect.succeed(Stream.fromIterable(piecesOf(params.pieces))))
      .handle("put", ({ payload }) => stored(payload))
      .handle("send", ({ payload }) => stored(payload))
  )
  return SimulatedProvider.make({ provider, handlers, ledger })
})
