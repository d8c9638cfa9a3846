/** A node with a shell on itself, and commands that ask who has typed them: at a real terminal, and from a pipe. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { describe, expect, it, onTestFinished } from 'vitest'
import { fill, haveRetained, N1, N2, sees, two } from '../support/clustered.ts'
import { freePort } from '../support/free-port.ts'
import { testPeers } from '../support/peer.ts'
import { program } from '../support/programs.ts'
import { hasTmux, Terminal } from '../support/terminal.ts'

/** The command line of a node with a console that knows the test's epmd. */
async function consoleOf(): Promise<{ args: string[]; env: Record<string, string> }> {
  const peers = await testPeers()
  // Starts the epmd, which ends with the peers.
  await peers.start(N2)
  const port = await freePort()
  const set = ['--set', `listeners.tcp.port=${port}`, '--data-dir', `${peers.folder}/data/${N1}`]
  const args = [...program('src/boot/main'), '--name', N1, '--cookie', peers.cookie, ...set, '--console']
  return { args, env: { HOME: peers.folder, AGNER_EPMD_PORT: String(peers.epmdPort) } }
}

describe('a node with a console', () => {
  it('answers what comes from a pipe, and stops at its end', async () => {
    const { args, env } = await consoleOf()
    const node = spawn(process.execPath, args, {
      env: { PATH: process.env.PATH, ...env },
      stdio: ['pipe', 'pipe', 'ignore'],
    })
    onTestFinished(() => void node.kill('SIGKILL'))
    let out = ''
    node.stdout.on('data', (chunk: Buffer) => {
      out += chunk
    })
    node.stdin.end('node()\n')
    expect(await once(node, 'close')).toEqual([0, null])
    expect(out).toContain(`Node '${N1}' is started\n`)
    expect(out).toContain(`agner 0.1.0: ${N1}`)
    expect(out).toContain('Ctrl+D stops the node')
    expect(out).toContain(`(${N1})1> '${N1}'`)
  })

  it.skipIf(!hasTmux)('shows a prompt, with the log above it; who leaves it stops the node', async () => {
    const { args, env } = await consoleOf()
    const terminal = await Terminal.start([process.execPath, ...args], { env })
    await terminal.shows(`(${N1})1>`)
    await terminal.line("ping('n2')")
    await terminal.shows(new RegExp(`node ${N2} is up[\\s\\S]*\\)2>`))
    await terminal.press('C-c')
    await terminal.shows('(Ctrl+D stops the node)')
    await terminal.press('C-d')
    await terminal.shows(/stopped[\s\S]*\[status 0\]/)
  })
})

describe.skipIf(!hasTmux)('bin/ctl at a terminal', () => {
  it('asks before a join that replaces rows', async () => {
    const { peers, n2 } = await two()
    await fill(n2, 'n2', 2)
    const args = [...program('src/boot/ctl-main'), '--name', N2, '--cookie', peers.cookie, 'cluster', 'join', N1]
    const env = { HOME: peers.folder, AGNER_EPMD_PORT: String(peers.epmdPort) }
    const question = /retained_message \(2 rows\); they are saved to a backup file first\. Really\? \(y\/N\)$/
    const first = await Terminal.start([process.execPath, ...args], { env, columns: 200 })
    await first.shows(question)
    await first.line('n')
    await first.shows(/Not done\.[\s\S]*\[status 1\]/)
    await haveRetained(2, n2)
    const second = await Terminal.start([process.execPath, ...args], { env, columns: 200 })
    await second.shows(question)
    await second.line('y')
    await second.shows(/Join the cluster successfully\.[\s\S]*\[status 0\]/)
    await sees(n2, [N1, N2])
    await haveRetained(0, n2)
  })
})
