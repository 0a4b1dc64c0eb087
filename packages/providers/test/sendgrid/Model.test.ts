import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { SendMail, acceptedAs } from "@breakwater/providers/sendgrid"

const one = { to: [{ email: "ada@customer.example" }] }
const mail = {
  personalizations: [one],
  from: { email: "shop@shop.example" },
  subject: "Hello",
  content: [{ type: "text/plain", value: "Hello." }]
}
const decode = Schema.decodeUnknownExit(SendMail)
const accepts = (over: object): boolean => decode({ ...mail, ...over })._tag === "Success"
const to = (email: string) => ({ personalizations: [{ to: [{ email }] }] })
const addresses = (count: number, from = 0) =>
  Array.from({ length: count }, (_, index) => ({ email: `c${index + from}@customer.example` }))

describe("SendMail", () => {
  it("takes addresses that are addresses", () => {
    assert.deepStrictEqual(
      ["a@b", "jo.doe+tag@customer.example", "ü@bücher.example", "a@b@c", "a b@c", "nobody", "@b", "a@", "<a@b>"].map(
        (email) => accepts(to(email))
      ),
      [true, true, true, false, false, false, false, false, false]
    )
  })

  it("takes up to 1,000 recipients in all, whoever they are to it, and at least one", () => {
    const many = (count: number) => ({ personalizations: [{ to: addresses(count - 1), bcc: addresses(1, count) }] })
    const split = (count: number) => ({
      personalizations: [{ to: addresses(500) }, { to: addresses(count - 500, 500) }]
    })

    assert.deepStrictEqual(
      [
        many(1000),
        many(1001),
        split(1000),
        split(1001),
        { personalizations: [] },
        { personalizations: [{ to: [] }] }
      ].map(accepts),
      [true, false, true, false, false, false]
    )
  })

  it("takes no address twice in one e-mail, whatever its case, and in two it does", () => {
    const twice = { ...one, cc: [{ email: "ADA@customer.example" }] }

    assert.isFalse(accepts({ personalizations: [twice] }))
    assert.isTrue(accepts({ personalizations: [one, one] }))
  })

  it("takes no name of a recipient that SendGrid would cut", () => {
    const named = (name: string) => ({ personalizations: [{ to: [{ email: "ada@customer.example", name }] }] })

    assert.deepStrictEqual(
      ["Ada", "", "Lovelace, Ada", "Ada; Lovelace"].map((name) => accepts(named(name))),
      [true, true, false, false]
    )
    assert.isTrue(accepts({ from: { email: "shop@shop.example", name: "Shop, Inc." } }))
  })

  it("takes custom arguments of less than 10,000 bytes, however few characters they are", () => {
    const args = (character: string, count: number) => ({ custom_args: { a: character.repeat(count) } })
    const frame = '{"a":""}'.length

    assert.deepStrictEqual(
      [args("x", 9_999 - frame), args("x", 10_000 - frame), args("ü", 4_995), args("ü", 4_996)].map(accepts),
      [true, false, true, false]
    )
  })

  it("takes no custom argument that could not be asked for again", () => {
    const [high, low] = ["\ud83d", "\ude00"] as const

    assert.deepStrictEqual(
      [{ a: high + low }, { a: high }, { [low]: "a" }, { [high]: low }].map((custom_args) => accepts({ custom_args })),
      [true, false, false, false]
    )
  })

  it("wants a subject and content, unless something else brings them", () => {
    const { content, subject, ...bare } = mail
    const isTaken = (payload: object) => decode(payload)._tag === "Success"
    const own = { personalizations: [{ ...one, subject: "Hello" }] }

    assert.deepStrictEqual(
      [
        { ...bare, template_id: "d-1" },
        { ...bare, ...own, content },
        { ...bare, content },
        { ...bare, subject },
        { ...bare, personalizations: [...own.personalizations, one], content }
      ].map(isTaken),
      [true, true, false, false, false]
    )
  })

  it("says where it is wrong, and not with what", () => {
    const exit = decode({ ...mail, ...to("nobody") })

    assert.notInclude(JSON.stringify(exit), "Hello")
    assert.include(String(exit), "an e-mail address")
  })
})

describe("acceptedAs", () => {
  it("is the part of a message's id that its request was answered with", () => {
    assert.deepStrictEqual(
      ["evEK_IhZSlKus235aGfxIQ.filter0361p1las1-11880-5978131E-23.0", "_yW5utel5TYuIBREiXJi7aA.recvd-1", "abc123"].map(
        (msg_id) => acceptedAs({ msg_id })
      ),
      ["evEK_IhZSlKus235aGfxIQ", "_yW5utel5TYuIBREiXJi7aA", "abc123"]
    )
  })
})
