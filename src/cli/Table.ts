/** Columns of text for a person. Pure. */
import type { Paint } from "./Output.ts"

/** Rows with their columns aligned, the first row as heads: what is a number in it stands to the right. */
export const columns = (rows: ReadonlyArray<ReadonlyArray<string>>, paint: Paint): string => {
  const widths: Array<number> = []
  for (const row of rows) {
    row.forEach((cell, index) => {
      widths[index] = Math.max(widths[index] ?? 0, cell.length)
    })
  }
  const [heads = []] = rows
  return rows
    .map((row) => {
      const cells = row.map((cell, index) =>
        index === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[index]!)
      )
      const line = cells.join("  ").trimEnd()
      return `${row === heads ? paint("dim", line) : line}\n`
    })
    .join("")
}
