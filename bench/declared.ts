/** The API that every variant calls, declared once. */
import { Schema } from "effect"
import { HttpApi, HttpApiEndpoint, HttpApiGroup } from "effect/http-api"

const Thing = Schema.Struct({
  id: Schema.Int,
  name: Schema.String,
  tags: Schema.Array(Schema.String),
  price: Schema.Finite
})

export const api = HttpApi.make("acme").add(
  HttpApiGroup.make("things").add(
    HttpApiEndpoint.get("get", "/things/:id", {
      params: { id: Schema.String },
      success: Schema.Struct({ id: Schema.String, items: Schema.Array(Thing) })
    })
  )
)
