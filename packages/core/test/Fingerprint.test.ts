import { assert, describe, it } from "@effect/vitest"
import * as Fingerprint from "@breakwater/core/Fingerprint"
import { Schema } from "effect"
import { createHash } from "node:crypto"

const bytes = (length: number, seed: number) => Uint8Array.from({ length }, (_, index) => (index * 31 + seed) & 255)

const expected = ({ body = new Uint8Array(), method, path }: Fingerprint.Sent): string =>
  createHash("sha256").update(`${method} ${path}\n`).update(body).digest("hex")

describe("Fingerprint.of", () => {
  it("is SHA-256 of method, path and body, at every length around the ends of a block", () => {
    for (let length = 0; length <= 200; length++) {
      const sent = { method: "POST", path: "/v1/charges", body: bytes(length, length) }

      assert.strictEqual(Fingerprint.of(sent), expected(sent))
    }
  })

  it("is so of messages that are long", () => {
    for (const [path, length] of [
      ["/a", 4040],
      ["/a", 4080],
      ["/a", 9000],
      [`/${"ä".repeat(2100)}`, 10],
      [`/${"ä".repeat(1000)}`, 4000],
      [`/${"a".repeat(5000)}`, 0]
    ] as const) {
      const sent = { method: "POST", path, body: bytes(length, 3) }

      assert.strictEqual(Fingerprint.of(sent), expected(sent))
    }
  })

  it.prop("is so for any path and body", { path: Schema.String, body: Schema.Uint8Array }, ({ body, path }) => {
    const sent = { method: "PUT", path: path.replaceAll(/\p{Surrogate}/gu, "?"), body }

    assert.strictEqual(Fingerprint.of(sent), expected(sent))
  })

  it("tells a missing body from nothing but the method and the path", () => {
    const sent = { method: "DELETE", path: "/v1/things/ä" }

    assert.strictEqual(Fingerprint.of(sent), expected(sent))
    assert.notStrictEqual(Fingerprint.of(sent), Fingerprint.of({ ...sent, method: "PUT" }))
    assert.notStrictEqual(Fingerprint.of(sent), Fingerprint.of({ ...sent, path: "/v1/things/a" }))
  })
})
