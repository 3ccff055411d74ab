/** Runs aedes on a port: `node AedesBroker.ts <port>`. */
import { createServer } from "node:net"
import { Aedes } from "aedes"

const broker = await Aedes.createBroker()
createServer({ noDelay: true }, (socket) => {
  broker.handle(socket)
}).listen(Number(process.argv[2]), "127.0.0.1")
