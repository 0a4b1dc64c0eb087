import { assert, describe, it } from "@effect/vitest"
import * as Redaction from "@breakwater/core/Redaction"
import { Redacted } from "effect"

const plain = Redaction.make()

const knowing = (secret: string) => Redaction.make({ secrets: () => [Redacted.make(secret)] })

describe("Redaction leaked before", () => {
  it("a secret in use that was halved where reading stopped, when masks made room for it", () => {
    const secret = "k".repeat(600)

    assert.notInclude(knowing(secret).text(`${secret} ${secret} ${secret}`, 1000), "kkkk")
  })

  it("a secret in use with quotes or backslashes, once it stood in JSON", () => {
    assert.strictEqual(knowing('pa"ss\\word').body(JSON.stringify({ a: 'pa"ss\\word' })), '{"a":"<redacted>"}')
  })

  it("a secret in use as a form encodes it", () => {
    const form = new URLSearchParams({ a: "it's a secret!" }).toString()

    assert.strictEqual(knowing("it's a secret!").text(form), "a=<redacted>")
  })

  it("a card number beside other numbers, or grouped by tabs", () => {
    assert.strictEqual(plain.text("4242 4242 4242 4242 123 CVC"), "<redacted> CVC")
    assert.strictEqual(plain.text("4242\t4242\t4242\t4242"), "<redacted>")
  })

  it("secret fields in the spelling of most JSON, and as part of a longer name", () => {
    const body = { accessToken: "hunter2", clientSecret: "hunter2", "x-api-key": "hunter2", new_password: "hunter2" }

    assert.notInclude(plain.body(JSON.stringify(body)), "hunter2")
  })

  it("secret fields in brackets of a form, and in JSON in a string", () => {
    assert.strictEqual(plain.text("card[cvc]=123"), "card[cvc]=<redacted>")
    assert.notInclude(plain.body(JSON.stringify({ log: '{"password":"hunter two"}' })), "hunter")
  })

  it("what follows an escaped quote in broken JSON", () => {
    assert.notInclude(plain.text('{"password":"a\\"hunter2","b"'), "hunter2")
  })

  it("credentials of any scheme but Bearer and Basic", () => {
    assert.strictEqual(plain.text("authorization: Token hunter2 hunter3"), "authorization: <redacted>")
  })

  it("tokens of Vault", () => {
    assert.strictEqual(plain.text("hvs.CAESIJlU02LQZq1k"), "<redacted>")
  })
})

describe("Redaction threw before", () => {
  it("on a provider's pattern without the flag g", () => {
    assert.strictEqual(Redaction.make({ patterns: [/acme_\w+/u] }).text("acme_1 acme_2"), "<redacted> <redacted>")
  })

  it("on a secret that has no spelling in a URL", () => {
    assert.strictEqual(knowing("abcd\ud800").text("abcd\ud800"), "<redacted>")
  })
})
