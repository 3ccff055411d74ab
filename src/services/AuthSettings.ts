/**
 * The settings of who may do what: rows of the table in `SettingsTable.ts`. What must fit together is checked where it
 * is read, in `Auth`: a hub whose authentication is set and cannot work does not start.
 */
import { Schema, Struct } from "effect"
import {
  choice,
  flag,
  milliseconds,
  optionalList,
  optionalObjects,
  optionalPath,
  optionalPatterns,
  optionalSecret,
  TextSchema
} from "../protocol/SettingKinds.ts"
import { schemaOf } from "../protocol/SettingsDecode.ts"
import { jwtAlgorithms, secretLimit } from "./auth/JwtAlgorithm.ts"

/** How clients say who they are. */
export const authTypes = ["none", "jwt", "api-key", "any"] as const

const authType = choice(authTypes, {
  default: "none",
  description:
    "How clients say who they are: `jwt`, `api-key`, `any` of both, or `none`, when everybody may do everything. Unless given: `any` if a key of either kind is given, otherwise `none`."
})

export const authSettings = {
  authType: { ...authType, schema: Schema.UndefinedOr(authType.schema), default: undefined },
  authKeys: optionalObjects({
    allowed: "a list of keys, each with id, hash, name, publish, subscribe, consumerGroups and limits",
    description:
      "API keys: what `polestar key create` prints, and no key itself. In a file; as text it is a list in JSON."
  }),
  authKeysFile: optionalPath({
    description:
      "File with more `authKeys`, read again when it changes: keys are added and taken back while the hub runs."
  }),
  authJwtSecret: optionalSecret({
    description: `Secret of tokens that are signed with HS256: at least ${secretLimit} bytes.`
  }),
  authJwtPublicKey: optionalPath({
    description: "Public key or certificate (PEM) of tokens that are signed with RS256 or ES256."
  }),
  authJwks: optionalPath({
    description:
      "JSON Web Key Set of tokens that are signed with RS256 or ES256: a file or a URL, refreshed every 10 minutes and when a token names a new key."
  }),
  authJwtAlgorithms: optionalList(Schema.Literals(jwtAlgorithms), {
    allowed: `one of ${jwtAlgorithms.join(", ")}`,
    description: "Algorithms of tokens that are accepted. Unless given: those that the keys are of."
  }),
  authAudience: optionalList(TextSchema, {
    allowed: "text",
    description:
      "Audiences (`aud`) of which a token must name one. Unless given, only tokens without an audience are accepted."
  }),
  authIssuer: optionalList(TextSchema, {
    allowed: "text",
    description: "Issuers (`iss`) of which a token must name one. Unless given, any whose signature is right."
  }),
  authClockTolerance: milliseconds({
    default: 5000,
    minimum: 0,
    maximum: 300_000,
    description: "How far the clock of who makes tokens may be from the hub's."
  }),
  authRequireExpiry: flag({
    default: true,
    description: "Whether a token must expire (`exp`). One that does not can only be taken back with its key."
  }),
  authDefaultPublish: optionalPatterns({
    description: "What a token may publish that does not say it (`publish`). Unless given: nothing."
  }),
  authDefaultSubscribe: optionalPatterns({
    description: "What a token may subscribe that does not say it (`subscribe`). Unless given: nothing."
  })
}

export const AuthSettingsSchema = Schema.Struct(Struct.map(authSettings, schemaOf))

export type AuthSettingsValues = typeof AuthSettingsSchema.Type
