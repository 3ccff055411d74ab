/** The little of a page that the example touches. */

interface Element {
  value: string
  textContent: string | null
  className: string
  readonly childElementCount: number
  readonly lastElementChild: { readonly remove: () => void } | null
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
declare const location: { readonly hostname: string; readonly origin: string; readonly search: string }

const given = (name: string): string | undefined =>
  new URLSearchParams(location.search).get(name) ?? undefined

/** Where the hub is: `?hub=ws://…/ws`, or port 8080 of the machine that the page is from. */
export const hubUrl = (): string => given("hub") ?? `ws://${location.hostname}:8080/ws`

/**
 * Who the page is, for a hub that asks: `?token=…`. That is for trying things out, since addresses are remembered and
 * written down; a page that is in earnest gives the SDK a function that gets a token from its own server.
 */
export const token = (): string | undefined => given("token")

/** What a hub knows the page by. */
export const origin = (): string => location.origin

export const valueOf = (id: string): string => document.getElementById(id).value

export const show = (id: string, text: string, kind = ""): void => {
  const element = document.getElementById(id)
  element.textContent = text
  element.className = kind
}

const maxLines = 500

/** The newest stands first; the oldest goes when there are many. */
export const addLine = (id: string, text: string, kind = ""): void => {
  const line = document.createElement("li")
  line.textContent = text
  line.className = kind
  const list = document.getElementById(id)
  list.prepend(line)
  if (list.childElementCount > maxLines) list.lastElementChild?.remove()
}

export const onSubmit = (id: string, listener: () => void): void => {
  document.getElementById(id).addEventListener("submit", (event) => {
    event.preventDefault()
    listener()
  })
}
