/** Text that somebody else wrote, made fit for a line of a log: short, and nothing in it that breaks the line. */
const most = 128

export const logText = (text: string): string => {
  const short = text.length <= most ? text : `${text.slice(0, most)}…`
  return short.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, "?")
}
