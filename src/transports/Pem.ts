/** Checks the files of TLS before a listener or a client uses them. Pure. */
import { createPrivateKey, X509Certificate } from "node:crypto"

/** The text of a file in PEM; `name` is the setting or the flag that named it. */
export interface PemFile {
  readonly name: string
  readonly path: string
  readonly pem: string
}

interface PemProblem {
  readonly detail: string
  readonly cause: unknown
}

/**
 * What is wrong with the files of TLS, naming the setting and the file, since OpenSSL names neither. What they hold
 * is not shown. Pure.
 */
export const pemProblem = (files: {
  readonly ca?: PemFile | undefined
  readonly cert?: PemFile | undefined
  readonly key?: PemFile | undefined
}): PemProblem | undefined => {
  const { ca, cert, key } = files
  const authority = parsed(ca, "is not a certificate in PEM", (pem) => new X509Certificate(pem))
  const certificate = parsed(cert, "is not a certificate in PEM", (pem) => new X509Certificate(pem))
  const privateKey = parsed(key, "is not a private key in PEM without a passphrase", createPrivateKey)
  const problem = authority.problem ?? certificate.problem ?? privateKey.problem
  if (problem !== undefined || cert === undefined || key === undefined) return problem
  if (certificate.value === undefined || privateKey.value === undefined) return undefined
  if (certificate.value.checkPrivateKey(privateKey.value)) return undefined
  const detail = `${key.name} (${key.path}): is not the key of ${cert.name} (${cert.path})`
  return { detail, cause: new Error(detail) }
}

const parsed = <A>(
  file: PemFile | undefined,
  what: string,
  parse: (pem: string) => A
): { readonly value?: A; readonly problem?: PemProblem } => {
  if (file === undefined) return {}
  try {
    return { value: parse(file.pem) }
  } catch (cause) {
    return { problem: { detail: `${file.name} (${file.path}): ${what}`, cause } }
  }
}
