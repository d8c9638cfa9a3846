/** bin/ctl as an OS process of its own, asking real nodes of a test. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Peer, Peers } from './peer.ts'
import { program } from './programs.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const PROGRAM = program('src/boot/ctl-main')

/** What bin/ctl did. */
export interface CtlRun {
  readonly code: number | null
  readonly out: string
  readonly err: string
  /** Of stdout. */
  readonly lines: string[]
}

export interface BinCtl {
  /** Runs a command line, the node's name and the cookie before it. */
  run(peer: Peer, ...words: readonly string[]): Promise<CtlRun>
  /** The lines of a success; rejects when it is none. */
  did(peer: Peer, ...words: readonly string[]): Promise<string[]>
  /** The lines of a refusal; rejects when it is a success. */
  refused(peer: Peer, ...words: readonly string[]): Promise<string[]>
}

/** bin/ctl for the nodes of a test. */
export function binCtl({ cookie, epmdPort, folder }: Peers): BinCtl {
  const run = async (peer: Peer, ...words: readonly string[]): Promise<CtlRun> => {
    const env = { PATH: process.env.PATH, HOME: folder, AGNER_EPMD_PORT: String(epmdPort) }
    const args = [...PROGRAM, '--name', peer.name, '--cookie', cookie, ...words]
    const child = spawn(process.execPath, args, { cwd: ROOT, env, stdio: ['ignore', 'pipe', 'pipe'] })
    let [out, err] = ['', '']
    child.stdout.on('data', (chunk: Buffer) => {
      out += chunk
    })
    child.stderr.on('data', (chunk: Buffer) => {
      err += chunk
    })
    const [code] = (await once(child, 'close')) as [number | null]
    return { code, out, err, lines: out.split('\n').slice(0, -1) }
  }
  const expected = async (code: number, peer: Peer, words: readonly string[]): Promise<string[]> => {
    const ran = await run(peer, ...words)
    if (ran.code === code) return ran.lines
    throw new Error(`bin/ctl ${words.join(' ')} on ${peer.name} ended with ${ran.code}: ${ran.out}${ran.err}`)
  }
  return {
    run,
    did: (peer, ...words) => expected(0, peer, words),
    refused: (peer, ...words) => expected(1, peer, words),
  }
}
