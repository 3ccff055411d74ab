/** `/docs`: one page that shows `/openapi.json`, with nothing loaded from elsewhere. */

const style = `
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 60rem; padding: 1rem; color: #222; background: #fff }
h1 { margin-bottom: 0 } h2 { text-transform: capitalize }
details { border: 1px solid #ddd; border-radius: 6px; margin: .5rem 0 } summary { padding: .5rem .75rem; cursor: pointer }
details > div { padding: 0 .75rem .75rem } code, pre { font: 14px/1.45 ui-monospace, monospace }
pre { background: #f6f6f6; overflow: auto; padding: .5rem; border-radius: 4px }
.method { display: inline-block; width: 4.5rem; font-weight: 700 } table { border-collapse: collapse }
td, th { text-align: left; padding: .15rem .75rem .15rem 0; vertical-align: top }
@media (prefers-color-scheme: dark) { body { color: #ddd; background: #1b1b1b } pre { background: #272727 } details { border-color: #444 } }
`

const script = `
const make = (name, text, ...children) => {
  const element = document.createElement(name)
  if (text) element.textContent = text
  element.append(...children)
  return element
}
const show = (api) => {
  const follow = (schema, depth = 0) => {
    if (!schema || depth > 8) return "…"
    if (schema.$ref) return follow(schema.$ref.split("/").slice(1).reduce((at, key) => at[key], api), depth + 1)
    const either = schema.anyOf || schema.oneOf
    if (either) return either.length === 1 ? follow(either[0], depth + 1) : either.map((each) => follow(each, depth + 1))
    if (schema.allOf) return follow({ ...schema, ...schema.allOf[0], allOf: undefined }, depth + 1)
    if (schema.enum) return schema.enum.join(" | ")
    if (schema.type === "array") return [follow(schema.items, depth + 1)]
    if (schema.properties) return Object.fromEntries(Object.entries(schema.properties).map(([name, each]) =>
      [(schema.required || []).includes(name) ? name : name + "?", follow(each, depth + 1)]))
    return schema.type || "any"
  }
  const written = (value) => typeof value === "string" ? value : JSON.stringify(value, null, 2)
  const bodies = (content) => Object.entries(content || {}).map(([type, { example, schema }]) =>
    make("div", "", make("code", type), make("pre", written(follow(schema))),
      ...(example === undefined ? [] : [make("div", "for example"), make("pre", written(example))])))
  const schemes = api.components.securitySchemes || {}
  const main = document.querySelector("main")
  main.append(make("h1", api.info.title), make("p", api.info.description || ""), make("h2", "who asks"), make("table", "",
    ...Object.entries(schemes).map(([name, scheme]) => make("tr", "", make("td", "", make("code", name)),
      make("td", scheme.type === "http" ? "Authorization: Bearer <token>" : "?" + scheme.name + "=<token>"), make("td", scheme.description || "")))))
  const groups = new Map()
  for (const [path, methods] of Object.entries(api.paths)) for (const [method, operation] of Object.entries(methods)) {
    const tag = (operation.tags || ["other"])[0]
    groups.set(tag, [...(groups.get(tag) || []), { path, method, operation }])
  }
  for (const [tag, operations] of groups) {
    main.append(make("h2", tag))
    for (const { path, method, operation } of operations) {
      const inside = make("div", "", make("p", operation.description || ""))
      if ((operation.parameters || []).length > 0) inside.append(make("h4", "Parameters"), make("table", "",
        ...operation.parameters.map((each) => make("tr", "", make("td", "", make("code", each.name)), make("td", each.in),
          make("td", each.required ? "required" : ""), make("td", each.description || ""),
          make("td", "", ...(each.example === undefined ? [] : [make("code", String(each.example))]))))))
      const who = (operation.security || []).map((each) => Object.keys(each).join(" and ") || "nobody need say who they are")
      inside.append(make("p", "Who asks: " + (who.join(", or ") || "open to all")))
      if (operation.requestBody) inside.append(make("h4", "Body"), make("p", operation.requestBody.description || ""), ...bodies(operation.requestBody.content))
      inside.append(make("h4", "Answers"))
      for (const [status, answer] of Object.entries(operation.responses)) {
        const isProblem = Object.keys(answer.content || {}).some((type) => type.includes("problem"))
        inside.append(make("div", "", make("b", status + " "), document.createTextNode(isProblem ? "a problem" : answer.description || "")))
        if (!isProblem) inside.append(...bodies(answer.content))
      }
      const method_ = make("span", method.toUpperCase())
      method_.className = "method"
      main.append(make("details", "", make("summary", "", method_, make("code", path), document.createTextNode(" " + (operation.summary || ""))), inside))
    }
  }
}
fetch("openapi.json").then((answer) => answer.json()).then(show, (error) => document.querySelector("main").append(String(error)))
`

/** Nothing but what stands in the page may run, and it may ask the hub alone. */
export const docsPolicy =
  "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"

export const docsPage = `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Polestar: HTTP API</title>
<style>${style}</style></head>
<body><main></main><script>${script}</script></body>
</html>
`
