/** What the servers beside the hub answer: as long as the hub's receipts. */

export const receipt = (message: unknown, offset: number): object => {
  const topic = message !== null && typeof message === "object" && "topic" in message ? message.topic : "?"
  return {
    message_id: `${topic}@1-${offset}`,
    topic,
    offset,
    epoch: 1,
    durability: "accepted",
    duplicate: false
  }
}

export const receipts = (body: unknown, offset: number): readonly object[] => {
  const messages = body !== null && typeof body === "object" && "messages" in body ? body.messages : []
  return Array.isArray(messages) ? messages.map((message, index) => receipt(message, offset + index)) : []
}
