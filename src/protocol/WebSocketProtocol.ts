/** The subprotocol by which a WebSocket asks for binary frames. */
export const webSocketProtocol = "polestar.v1"

/**
 * The most bytes of one WebSocket message that a client sends in the binary protocol: a hub takes this much however
 * small its messages are. Where messages are cut means nothing.
 */
export const webSocketChunk = 65_536
