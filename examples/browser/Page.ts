/** The little of a page that the example touches. */

interface Element {
  value: string
  textContent: string | null
  className: string
  readonly prepend: (child: Element) => void
  readonly addEventListener: (
    type: "submit",
    listener: (event: { readonly preventDefault: () => void }) => void
  ) => void
}

declare const document: {
  readonly getElementById: (id: string) => Element
  readonly createElement: (name: string) => Element
}
declare const location: { readonly hostname: string; readonly search: string }

/** Where the hub is: `?hub=ws://…/ws`, or port 8080 of the machine that the page is from. */
export const hubUrl = (): string =>
  new URLSearchParams(location.search).get("hub") ?? `ws://${location.hostname}:8080/ws`

export const valueOf = (id: string): string => document.getElementById(id).value

export const show = (id: string, text: string): void => {
  document.getElementById(id).textContent = text
}

/** The newest stands first. */
export const addLine = (id: string, text: string, kind = ""): void => {
  const line = document.createElement("li")
  line.textContent = text
  line.className = kind
  document.getElementById(id).prepend(line)
}

export const onSubmit = (id: string, listener: () => void): void => {
  document.getElementById(id).addEventListener("submit", (event) => {
    event.preventDefault()
    listener()
  })
}
