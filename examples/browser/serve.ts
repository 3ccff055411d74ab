/**
 * Serves the page on port 8000 of this machine, for a hub that listens on port 8080 and lets the page in:
 *
 *     POLESTAR_ALLOWED_ORIGINS=http://127.0.0.1:8000 npm start
 *     node examples/browser/serve.ts          then open http://127.0.0.1:8000
 */
import { readFile } from "node:fs/promises"
import { createServer } from "node:http"
import { bundle } from "./bundle.ts"

const page = await readFile(new URL("./index.html", import.meta.url))
const program = await bundle("esm")

createServer((request, response) => {
  const isProgram = request.url === "/app.js"
  response.setHeader("content-type", isProgram ? "text/javascript" : "text/html; charset=utf-8")
  response.end(isProgram ? program : page)
}).listen(Number(process.argv[2] ?? 8000), "127.0.0.1", () => {
  console.log(`http://127.0.0.1:${process.argv[2] ?? 8000}`)
})
