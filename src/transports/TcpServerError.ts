/** Why a listener cannot start. */
import { Schema } from "effect"

export class TcpServerError extends Schema.TaggedError<TcpServerError>()("TcpServerError", {
  reason: Schema.Literals(["listen", "certificate"]),
  /** Which setting, which file, and what is wrong with it. */
  detail: Schema.optionalKey(Schema.String),
  cause: Schema.Defect()
}) {
  override get message(): string {
    const what = this.reason === "listen" ? "cannot listen" : "cannot use the certificate"
    const why = this.cause instanceof Error ? this.cause.message : String(this.cause)
    return `${what}: ${this.detail ?? why}`
  }
}
