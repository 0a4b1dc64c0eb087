import { assert, describe, it } from "@effect/vitest"
import * as Auth from "@breakwater/core/Auth"
import type { CallPolicy } from "@breakwater/core/CallPolicy"
import { CallPolicyError } from "@breakwater/core/CallPolicy"
import * as Body from "@breakwater/core/Body"
import * as Operation from "@breakwater/core/Operation"
import * as PolicyRules from "@breakwater/core/PolicyRules"
import * as Provider from "@breakwater/core/Provider"
import * as Safety from "@breakwater/core/Safety"
import { Result, Schema } from "effect"
import { HttpApi, HttpApiEndpoint, HttpApiGroup, HttpApiSchema } from "effect/http-api"

const Thing = Schema.Struct({ id: Schema.String })
class Declined extends Schema.TaggedError<Declined>("test/Declined")("Declined", {}, { httpApiStatus: 402 }) {}
class Down extends Schema.TaggedError<Down>("test/Down")("Down", {}, { httpApiStatus: 503 }) {}
class WithoutStatus extends Schema.TaggedError<WithoutStatus>("test/WithoutStatus")("WithoutStatus", {}) {}

const keys = { header: "Idempotency-Key", window: "24 hours" } as const

const get = HttpApiEndpoint.get("get", "/things/:id", { params: { id: Schema.String }, success: Thing })
const create = HttpApiEndpoint.post("create", "/things", { payload: Thing, success: Thing, error: Declined }).pipe(
  Safety.keyed(keys)
)
const remove = HttpApiEndpoint.delete("remove", "/things/:id", { success: HttpApiSchema.NoContent })

const read = (api: HttpApi.Constraint, base: CallPolicy = {}) => Operation.ofApi("acme", api as HttpApi.Top, base)

const operations = (api: HttpApi.Constraint, base?: CallPolicy): ReadonlyMap<string, Operation.Operation> =>
  Result.getOrThrow(read(api, base))

const broken = (api: HttpApi.Constraint): CallPolicyError | undefined => {
  const result = read(api)
  return Result.isFailure(result) ? result.failure : undefined
}

const things = HttpApiGroup.make("things").add(get, create, remove)
const resolved = (policy: CallPolicy) => Result.getOrThrow(PolicyRules.resolve("acme", policy))

describe("Operation.ofApi", () => {
  it("reads everything that a declaration says of an operation", () => {
    const found = operations(HttpApi.make("acme").add(things).prefix("/v1"), { attempts: 2 }).get("things.create")

    assert.deepStrictEqual(
      { ...found, written: { attempts: found?.written.attempts } },
      {
        name: "acme.things.create",
        path: "things.create",
        method: "POST",
        template: "/v1/things",
        safety: "keyed",
        keys,
        reference: undefined,
        policy: resolved({ attempts: 2 }),
        written: { attempts: 2 },
        cost: 1,
        dryRun: undefined,
        declared: {
          success: new Map([[200, "json"]]),
          error: new Map([[402, "json"]]),
          streams: false,
          emptySuccess: false
        },
        answers: undefined
      }
    )
  })

  it("lists every operation once, by group and endpoint, and without the group at the top level", () => {
    const top = HttpApiGroup.make("top", { topLevel: true }).add(get)
    const found = operations(HttpApi.make("acme").add(things, top))

    assert.deepStrictEqual([...found.keys()], ["things.get", "things.create", "things.remove", "get"])
    assert.deepStrictEqual(
      [...found.values()].map(({ name, safety }) => [name, safety]),
      [
        ["acme.things.get", "safe"],
        ["acme.things.create", "keyed"],
        ["acme.things.remove", "idempotent"],
        ["acme.get", "safe"]
      ]
    )
  })

  it("knows how each declared answer is read", () => {
    const answers = HttpApiGroup.make("answers").add(
      HttpApiEndpoint.get("json", "/a", { success: Thing }),
      HttpApiEndpoint.get("nothing", "/b", { success: HttpApiSchema.NoContent }),
      HttpApiEndpoint.get("text", "/c", { success: Schema.String.pipe(HttpApiSchema.asText()) }),
      HttpApiEndpoint.post("both", "/d", { success: [Thing, HttpApiSchema.NoContent] }),
      HttpApiEndpoint.post("created", "/e", { success: Thing.pipe(HttpApiSchema.status(201)), error: [Declined] }),
      HttpApiEndpoint.get("bytes", "/f", { success: [Body.streaming(), HttpApiSchema.NoContent] }),
      HttpApiEndpoint.get("lines", "/g", { success: HttpApiSchema.StreamNdjson({ schema: Thing }) })
    )
    const declared = Object.fromEntries(
      [...operations(HttpApi.make("acme").add(answers))].map(([path, { declared }]) => [
        path,
        {
          success: [...(declared?.success ?? [])],
          error: [...(declared?.error ?? [])],
          emptySuccess: declared?.emptySuccess
        }
      ])
    )

    assert.deepStrictEqual(declared, {
      "answers.json": { success: [[200, "json"]], error: [], emptySuccess: false },
      "answers.nothing": { success: [[204, "none"]], error: [], emptySuccess: true },
      "answers.text": { success: [[200, "other"]], error: [], emptySuccess: false },
      "answers.both": {
        success: [
          [200, "json"],
          [204, "none"]
        ],
        error: [],
        emptySuccess: false
      },
      "answers.created": { success: [[201, "json"]], error: [[402, "json"]], emptySuccess: false },
      "answers.bytes": {
        success: [
          [204, "none"],
          [200, "stream"]
        ],
        error: [],
        emptySuccess: false
      },
      "answers.lines": { success: [[200, "stream"]], error: [], emptySuccess: false }
    })
  })

  it("puts an operation's policy over the provider's", () => {
    const slow = get.pipe(Operation.policy({ deadline: "2 minutes", bulkhead: { queueTimeout: "1 second" } }))
    const found = operations(HttpApi.make("acme").add(HttpApiGroup.make("things").add(slow, create)), {
      attempts: 2,
      deadline: "1 minute",
      breaker: { minimumCalls: 5 }
    })

    assert.deepStrictEqual(
      found.get("things.get")?.policy,
      resolved({
        attempts: 2,
        deadline: "2 minutes",
        breaker: { minimumCalls: 5 },
        bulkhead: { queueTimeout: "1 second" }
      })
    )
    assert.deepStrictEqual(
      found.get("things.create")?.policy,
      resolved({ attempts: 2, deadline: "1 minute", breaker: { minimumCalls: 5 } })
    )
  })

  it("names the operation whose policy contradicts itself", () => {
    const wrong = get.pipe(Operation.policy({ attempts: 0 }))

    assert.deepStrictEqual(
      broken(HttpApi.make("acme").add(HttpApiGroup.make("things").add(create, wrong))),
      new CallPolicyError({
        owner: "acme.things.get",
        field: "attempts",
        rule: "must be a whole number from 1 to 20, got 0"
      })
    )
  })

  it("refuses a declared error on a status that tells of an outage, unless it is marked (DESIGN §3)", () => {
    const endpoint = (error: Schema.Top) => HttpApiEndpoint.post("go", "/go", { success: Thing, error })
    const api = (of: ReturnType<typeof endpoint>) => HttpApi.make("acme").add(HttpApiGroup.make("things").add(of))
    const rule = (status: number) =>
      new CallPolicyError({
        owner: "acme.things.go",
        field: "error",
        rule: `declares ${status}, a status that tells of an outage: set httpApiStatus, or mark the endpoint with Operation.declaresOutage`
      })
    const onStatus = (status: number) =>
      endpoint(Schema.Struct({ reason: Schema.String }).pipe(HttpApiSchema.status(status)))

    assert.deepStrictEqual(broken(api(endpoint(Down))), rule(503))
    assert.deepStrictEqual(broken(api(endpoint(WithoutStatus))), rule(500))
    for (const status of [408, 425, 429, 500, 501, 599])
      assert.deepStrictEqual(broken(api(onStatus(status))), rule(status))
    for (const status of [400, 404, 407, 409, 424, 426, 428, 430, 499])
      assert.isUndefined(broken(api(onStatus(status))))
    assert.isUndefined(broken(api(Operation.declaresOutage(endpoint(Down)))))
    assert.isUndefined(
      broken(HttpApi.make("acme").add(HttpApiGroup.make("things").add(endpoint(Down)).pipe(Operation.declaresOutage)))
    )
  })
})

describe("Operation.cost", () => {
  it("is what an attempt takes from the rate budget, for an endpoint or a group", () => {
    const found = operations(
      HttpApi.make("acme").add(
        HttpApiGroup.make("things")
          .add(get.pipe(Operation.cost(5)), create)
          .pipe(Operation.cost(2))
      )
    )

    assert.deepStrictEqual([found.get("things.get")?.cost, found.get("things.create")?.cost], [5, 2])
  })

  it("is a whole number from 1, on both sides of the boundary", () => {
    assert.doesNotThrow(() => Operation.cost(1))
    for (const tokens of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      assert.throws(
        () => Operation.cost(tokens),
        RangeError,
        `Operation.cost: must be a whole number from 1, got ${tokens}`
      )
    }
  })
})

describe("Operation.undeclared", () => {
  it("is an operation whose every answer is handed on", () => {
    const policy = resolved({})
    const made = Operation.undeclared({
      name: "acme.GET",
      method: "GET",
      template: "",
      safety: "safe",
      policy,
      written: {}
    })

    assert.deepStrictEqual(made, {
      name: "acme.GET",
      path: "GET",
      method: "GET",
      template: "",
      safety: "safe",
      keys: undefined,
      policy,
      written: {},
      cost: 1,
      dryRun: undefined,
      declared: undefined,
      answers: undefined
    })
    assert.deepStrictEqual(Operation.undeclared({ ...made, keys }).keys, keys)
  })
})

describe("Operation.of", () => {
  const group = HttpApiGroup.make("things").add(HttpApiEndpoint.get("get", "/things", { success: Thing }))
  const api = HttpApi.make("acme").add(group)
  const environments = { sandbox: "https://sandbox.acme.test", production: "https://acme.test" }
  const acme = Provider.make("acme", { api, environments, auth: Auth.bearer(), policy: { attempts: 2 } })

  it("is the operation as a layer with this policy protects it", () => {
    const operation = Operation.of(acme, "things.get", { deadline: "2 seconds" })

    assert.strictEqual(operation.name, "acme.things.get")
    assert.strictEqual(operation.safety, "safe")
    assert.strictEqual(operation.policy.attempts, 2)
    assert.strictEqual(operation.policy.deadlineMillis, 2000)
  })

  it("names the operations there are when there is no such one, and the rule when the policy breaks one", () => {
    assert.throws(
      () => Operation.of(acme, "things.put"),
      /^Operation\.of: acme has no things\.put; it has things\.get$/u
    )
    assert.throws(
      () => Operation.of(acme, "things.get", { attempts: 0 }),
      /attempts must be a whole number from 1 to 20, got 0/u
    )
  })
})
