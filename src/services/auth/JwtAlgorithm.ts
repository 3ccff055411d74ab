/** The algorithms of tokens, and what their keys must be at least. */

export const jwtAlgorithms = ["HS256", "RS256", "ES256"] as const

export type JwtAlgorithm = (typeof jwtAlgorithms)[number]

/** Those whose keys may be in a set of public keys. */
export const publicAlgorithms = ["RS256", "ES256"] as const

/** The fewest bytes of a secret of HS256 (RFC 7518, 3.2): it can be guessed at without asking the hub. */
export const secretLimit = 32

/** The fewest bits of an RSA key (RFC 7518, 3.3). */
export const rsaLimit = 2048
