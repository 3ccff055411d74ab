/** The table of settings as Markdown, for the README: it is made from the settings themselves, so it cannot be stale. */
import { ByteSize } from "effect"
import type { AnySetting } from "../protocol/SettingKinds.ts"
import { environmentNames } from "./SettingsEnvironment.ts"
import { type SettingKey, settingRows } from "./SettingsTable.ts"

/** One row for each setting: key, environment, default, what is allowed, description. Ends with a newline. */
export const settingsMarkdown = (): string =>
  [
    "| Setting | Environment | Default | Allowed | Description |",
    "| --- | --- | --- | --- | --- |",
    ...settingRows.map(([key, setting]) => markdownRow(key, setting)),
    ""
  ].join("\n")

const markdownRow = (key: SettingKey, setting: AnySetting): string => {
  const names = environmentNames(key).map((name) => `\`${name}\``)
  const { noEffect, description, allowed } = setting
  const about = noEffect === undefined ? description : `${description} It ${noEffect}.`
  const cells = [`\`${key}\``, names.join(", "), showDefault(setting), allowed, about]
  return `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`
}

const showDefault = (setting: AnySetting): string => {
  const value = setting.default
  if (value === undefined) return "none"
  if (Array.isArray(value)) return `\`${value.join(", ")}\``
  if (typeof value !== "number") return `\`${String(value)}\``
  if (setting.unit === "bytes") {
    return `\`${value}\` (${ByteSize.format(ByteSize.bytes(value), { system: "binary" })})`
  }
  return `\`${value}\`${setting.unit === "" ? "" : ` ${setting.unit}`}`
}
