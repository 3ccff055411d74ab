/**
 * What the description of the API says beyond what is made from its schemas: what each parameter means, and an example of
 * each body. Pure.
 */
import { linesContentType } from "./BulkLines.ts"
import { type Parameter, parameters } from "./Parameters.ts"

interface Described {
  readonly operationId: string
  readonly parameters: ReadonlyArray<{
    readonly name: string
    readonly in: string
    readonly required: boolean
  }>
  readonly security: ReadonlyArray<object>
  readonly requestBody?: { readonly content: Readonly<Record<string, object>> }
}

type Paths = Readonly<Record<string, Readonly<Record<string, Described>>>>

interface Components {
  readonly schemas: Readonly<Record<string, object>>
}

const message = { topic: "news", payload: { user_id: 123, message: "Hello, World!" }, ttl: 3600 }
const another = { topic: "alerts.fire", payload: "Smoke in room 7", id: "msg-457", priority: 9 }

/** By operation and content type. */
const examples: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  "messages.publish": { "application/json": message, "application/octet-stream": "the payload itself" },
  "messages.publishBulk": {
    "application/json": { messages: [message, another] },
    [linesContentType]: [message, another].map((each) => `${JSON.stringify(each)}\n`).join("")
  },
  "messages.ack": {
    "application/json": { client_id: "client-123", message_ids: ["news@1790000000000-7"] }
  },
  "topics.createTopic": { "application/json": { name: "news" } }
}

const bodies: Readonly<Record<string, string>> = {
  "messages.publish":
    "The message as JSON, or its payload in any other content type, which readers get with it. `payload` may be any JSON.",
  "messages.publishBulk": "A list of messages, or a message a line.",
  "messages.ack": "The `message_id` of each message that is done with, as the hub gave it.",
  "topics.createTopic": "The name of the topic: segments joined by dots."
}

/** The paths and components of the description, completed. */
export const described = (paths: Paths, components: Components) => ({
  paths: mapValues(paths, (methods) => mapValues(methods, describedOperation)),
  components: {
    ...components,
    // The same shape for every status and operation is one.
    schemas: Object.fromEntries(
      Object.entries(components.schemas)
        .filter(([name]) => !copyOfProblem.test(name))
        .map(([name, schema]) => [name, withOneProblem(schema)])
    )
  }
})

const describedOperation = (operation: Described) => {
  const { operationId, parameters: given, requestBody, security } = withOneProblem(operation)
  return {
    ...withOneProblem(operation),
    // Where the hub asks nobody who they are, a token may be absent.
    security: security.length === 0 ? [] : [...security, {}],
    parameters: given.map((each) => ({ ...each, ...shownParameter(parameters[each.name]) })),
    ...(requestBody === undefined
      ? {}
      : {
          requestBody: {
            ...requestBody,
            description: bodies[operationId],
            content: mapValues(requestBody.content, (content, type) => ({
              ...content,
              example: examples[operationId]?.[type]
            }))
          }
        })
  }
}

const shownParameter = (parameter: Parameter | undefined): object => {
  if (parameter === undefined) return {}
  const { allowed, description, example, isRequired } = parameter
  return {
    description: allowed === undefined ? description : `${description} Must be ${allowed}.`,
    example,
    ...(isRequired === true ? { required: true } : {})
  }
}

const copyOfProblem = /^Problem_\d+$/

/** Any part of the description, with what refers to a copy of `Problem` referring to that. */
const withOneProblem = <A>(part: A): A =>
  JSON.parse(
    JSON.stringify(part).replace(/"#\/components\/schemas\/Problem_\d+"/g, '"#/components/schemas/Problem"')
  )

const mapValues = <A, B>(record: Readonly<Record<string, A>>, f: (value: A, key: string) => B) =>
  Object.fromEntries(Object.entries(record).map(([key, value]) => [key, f(value, key)]))
