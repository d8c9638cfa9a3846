/** Certificates for a test: an authority and what it signs, made by openssl in a folder that goes with the test. */
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { onTestFinished } from 'vitest'

const run = promisify(execFile)

export interface Certificate {
  /** PEM texts. */
  readonly cert: string
  readonly key: string
  readonly ca: string
  /** Where the same texts are. */
  readonly files: { readonly cert: string; readonly key: string; readonly ca: string }
}

export interface Authority {
  /** Signs a certificate for a host, given as `IP:127.0.0.1` or `DNS:name`. */
  sign(name: string, host: string): Promise<Certificate>
}

export async function authority(): Promise<Authority> {
  const folder = await mkdtemp(join(tmpdir(), 'agner-tls-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const path = (name: string) => join(folder, name)
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  const ca = path('ca.pem')
  await run('openssl', ['req', '-x509', ...key, '-keyout', path('ca.key'), '-out', ca, '-days', '2', '-subj', '/CN=ca'])
  return {
    sign: async (name, host) => {
      const files = { cert: path(`${name}.pem`), key: path(`${name}.key`), ca }
      await run('openssl', ['req', ...key, '-keyout', files.key, '-out', path('csr'), '-subj', `/CN=${name}`])
      await writeFile(path('ext'), `subjectAltName=${host}\nextendedKeyUsage=serverAuth,clientAuth\n`)
      const signing = ['-CA', ca, '-CAkey', path('ca.key'), '-CAcreateserial', '-days', '2', '-extfile', path('ext')]
      await run('openssl', ['x509', '-req', '-in', path('csr'), '-out', files.cert, ...signing])
      const text = (file: string) => readFile(file, 'utf8')
      return { cert: await text(files.cert), key: await text(files.key), ca: await text(ca), files }
    },
  }
}
