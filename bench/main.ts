/** `npm run bench`: Polestar beside its peers, on this machine, in one run. See README.md. */
import { runBenchmark } from "./Benchmark.ts"
import { aedes, mosquitto } from "./peers/Mqtt.ts"
import { nats } from "./peers/Nats.ts"
import { polestar } from "./peers/Polestar.ts"
import { redis } from "./peers/Redis.ts"
import { relay } from "./peers/Relay.ts"

try {
  process.exitCode = await runBenchmark(process.argv.slice(2), polestar, [
    nats,
    redis,
    mosquitto,
    aedes,
    relay
  ])
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 2
}
