/**
 * From the settings of `[dist]` to the options of src/dist: reads the certificates, makes the transport.
 */
import { readFile } from 'node:fs/promises'
import { resolve as resolvePath } from 'node:path'
import type { StartNodeOptions } from '../dist/start-node.ts'
import type { Transport } from '../dist/transport.ts'
import { tcpTransport } from '../dist/transport-tcp.ts'
import { tlsTransport } from '../dist/transport-tls.ts'
import type { DistConfig } from './dist-settings.ts'

/** What the settings say about a node. */
export interface DistOptions
  extends Pick<StartNodeOptions, 'listen' | 'transport' | 'netTicktimeMs' | 'limits' | 'mesh' | 'remoteCalls'> {
  /** Whether `erl -remsh` gets a shell. */
  readonly remoteShell: boolean
}

/** Options, or sentences that say what is wrong. */
export type DistOptionsResult =
  | { readonly ok: true; readonly options: DistOptions }
  | { readonly ok: false; readonly problems: readonly string[] }

/** Makes the options. Files are relative to `folder`, that of the configuration file. */
export async function distOptions(config: DistConfig, folder: string): Promise<DistOptionsResult> {
  const transport = await transportOf(config, folder)
  if ('problems' in transport) return { ok: false, problems: transport.problems }
  const { listen, port, netTicktimeMs, busyBytes, maxBufferBytes, maxFrameBytes, connectAll, remoteShell, rpc } = config
  return {
    ok: true,
    options: {
      listen: listen === 'auto' ? { port } : { host: listen, port },
      transport,
      netTicktimeMs,
      limits: { busyBytes, maxBytes: maxBufferBytes, maxFrameBytes },
      mesh: connectAll,
      remoteCalls: rpc,
      remoteShell,
    },
  }
}

async function transportOf(
  { proto, tls }: DistConfig,
  folder: string,
): Promise<Transport | { readonly problems: readonly string[] }> {
  if (proto !== 'inet_tls') return tcpTransport(proto)
  const problems: string[] = []
  const read = async (key: 'cert' | 'key' | 'ca'): Promise<string> => {
    const path = tls[key]
    if (path === '') problems.push(`dist.proto is "inet_tls", which needs dist.tls.${key}`)
    else {
      try {
        return await readFile(resolvePath(folder, path), 'utf8')
      } catch (error) {
        const { code, message } = error as NodeJS.ErrnoException
        problems.push(`dist.tls.${key}: ${resolvePath(folder, path)} cannot be read: ${code ?? message}`)
      }
    }
    return ''
  }
  const texts = { cert: await read('cert'), key: await read('key'), ca: await read('ca') }
  if (problems.length > 0) return { problems }
  try {
    return tlsTransport({ ...texts, verifyHost: tls.verifyHost })
  } catch (error) {
    return { problems: [`dist.tls: certificate and key cannot be used: ${(error as Error).message}`] }
  }
}
