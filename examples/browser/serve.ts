/**
 * Serves the page to this machine, on port 8000 unless another is given, for a hub that lets the page in:
 *
 *     POLESTAR_ALLOWED_ORIGINS=http://127.0.0.1:8000 npm start
 *     npm run -s example examples/browser/serve.ts          then open what it prints
 *
 * The page looks for the hub on port 8080; `?hub=ws://127.0.0.1:9000/ws` names another. A hub that wants a token gets
 * that of `?token=…`, which may publish and subscribe `demo.>`.
 */
import { readFile } from "node:fs/promises"
import { createServer } from "node:http"
import { bundle } from "./bundle.ts"

const host = "127.0.0.1"
const page = await readFile(new URL("./index.html", import.meta.url))
const program = await bundle("esm")

const server = createServer(({ url = "/" }, response) => {
  const [path] = url.split("?", 1)
  if (path === "/") response.setHeader("content-type", "text/html; charset=utf-8").end(page)
  else if (path === "/app.js") response.setHeader("content-type", "text/javascript").end(program)
  else response.writeHead(404).end("not here")
})
server.listen(Number(process.argv[2] ?? 8000), host, () => {
  const address = server.address()
  if (address !== null && typeof address === "object") console.log(`http://${host}:${address.port}/`)
})
