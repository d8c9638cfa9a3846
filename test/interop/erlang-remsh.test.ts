/** A real `erl -remsh` in a real terminal gets the read-only shell of a node of ours, when the node has it switched on. */
import { describe, expect, it } from 'vitest'
import { otpExports } from '../../src/dist/exports/all.ts'
import { makeObservable } from '../../src/observer/backend/application.ts'
import { hasErlang, startErl } from '../support/erl.ts'
import { eventually } from '../support/eventually.ts'
import { testEpmd, testNode } from '../support/node.ts'
import { hasTmux, Terminal } from '../support/terminal.ts'

async function node(remoteShell: boolean) {
  const epmdPort = await testEpmd()
  const n1 = await testNode('n1@127.0.0.1', epmdPort, { exports: otpExports() })
  await makeObservable(n1, { version: '0.1.0', remoteShell, simulated: true })
  const { runtime } = n1
  const table = runtime.ets.create<{ id: number; word: string }>(runtime.init, 'words', { key: 'id', named: true })
  table.insert({ id: 1, word: 'naïve' })
  const remsh = (): Promise<Terminal> =>
    Terminal.start(
      ['erl', '+Bc', '-name', 'r1@127.0.0.1', '-setcookie', 'secret', '-hidden', '-remsh', 'n1@127.0.0.1'],
      { env: { ERL_EPMD_PORT: String(epmdPort) } },
    )
  const shells = (): number => Array.from(runtime.processes).filter(({ label }) => label === 'shell:start/0').length
  return { epmdPort, n1, remsh, shells }
}

describe.skipIf(!hasErlang || !hasTmux)('erl -remsh', () => {
  it('gets a shell that only reads', async () => {
    const { remsh } = await node(true)
    const terminal = await remsh()
    await terminal.shows(
      /n1@127\.0\.0\.1, agner 0\.1\.0: a shell that only reads\. help\(\) lists the commands.*\n.*\)1>$/,
    )
    await terminal.line("nodes('hidden').")
    await terminal.shows(/\[ 'r1@127\.0\.0\.1' \]\n.*\)2>$/)
    await terminal.line('i({ limit: 2, sort: name })')
    await terminal.shows(/PID +NAME +MSGQ.*\n<0\.\d+\.0> +agner_mesh .*\n.*\n2 of \d+ processes, by name\n.*\)3>$/)
    await terminal.line('whereis(rex).')
    await terminal.shows(/\n<0\.\d+\.0>\n.*\)4>$/)
    await terminal.line('i(v(3))')
    await terminal.shows(/name: 'rex',[\s\S]*\)5>$/)
    await terminal.line("tv('words')")
    await terminal.shows(/ID {2}WORD\n 1 {2}naïve\n1 of 1 rows\n.*\)6>$/)
    await terminal.line('exit(whereis(rex))')
    await terminal.shows(
      /\*\* there is no command exit here, where everything is read-only: help\(\) lists them\n.*\)7>$/,
    )
    await terminal.line('1 + 1')
    await terminal.shows(/\*\* only commands with literal arguments run here, not 1 \+ 1\n.*\)8>$/)
    await terminal.line('help()')
    await terminal.shows('arguments are literals, calls and bare names')
  })

  it('completes commands, and leaves what takes long at Ctrl+C', async () => {
    const { remsh } = await node(true)
    const terminal = await remsh()
    await terminal.shows(/\)1>$/)
    await terminal.type('supT')
    await terminal.press('Tab')
    await terminal.shows(/\)1> supTree$/)
    await terminal.line('()')
    await terminal.shows(/observer {2}<0\.\d+\.0> {2}application\n└─ observer_sup[\s\S]*\)2>$/)
    await terminal.line("topWindow('reds', 3, 60000)")
    await terminal.shows(/60000\)$/)
    await terminal.press('C-c')
    await terminal.shows(/\*\* interrupted\n.*\)3>$/)
    await terminal.line('node()')
    await terminal.shows(/'n1@127\.0\.0\.1'\n.*\)4>$/)
  })

  it('leaves nothing behind when the terminal is gone', async () => {
    const { remsh, shells, n1 } = await node(true)
    const before = n1.runtime.processes.count
    const terminal = await remsh()
    await terminal.shows(/\)1>$/)
    expect(shells()).toBe(1)
    expect(n1.logs.map(({ msg }) => msg)).toContain('a remote shell was opened from r1@127.0.0.1')
    await terminal.press('C-g')
    await terminal.shows('-->')
    await terminal.line('q')
    await eventually(() => shells() === 0)
    await eventually(() => n1.runtime.processes.count === before)
    expect(n1.logs.map(({ msg }) => msg)).toContain('the remote shell from r1@127.0.0.1 has ended')
  })

  it('is told that the shell is off', async () => {
    const { remsh, shells, n1 } = await node(false)
    const terminal = await remsh()
    await terminal.shows(
      /\*\*\* the remote shell of n1@127\.0\.0\.1 is off; switch it on there with dist\.remote_shell = true/,
    )
    await terminal.shows('Shell process terminated!')
    await eventually(() => shells() === 0)
    expect(n1.logs.map(({ msg }) => msg)).toContain('a remote shell was refused to r1@127.0.0.1')
  })
})

describe.skipIf(!hasErlang)('the terminal of later releases', () => {
  it('gets what it asks before it starts the shell', async () => {
    const { epmdPort } = await node(true)
    const erl = await startErl({ name: 'erl@127.0.0.1', epmdPort })
    const call = (module: string, name: string, args: string): string =>
      `erpc:call('n1@127.0.0.1', ${module}, ${name}, ${args})`
    expect(await erl.eval(call('code', 'ensure_loaded', '[shell]'))).toBe('{module,shell}')
    expect(await erl.eval(call('net_kernel', 'get_net_ticktime', '[]'))).toBe('60')
    expect(await erl.eval(call('application', 'get_env', '[stdlib, shell_slogan, fallback]'))).toBe('"agner 0.1.0"')
    expect(await erl.eval(call('application', 'get_env', '[kernel, cookie, fallback]'))).toBe('fallback')
    expect(await erl.eval(call('edlin_expand', 'expand', '[lists:reverse("sys.getS")]'))).toBe(
      '{yes,"tat",["getState","getStatus"]}',
    )
    expect(await erl.eval(call('edlin_expand', 'expand', '[lists:reverse("nothing_of_the_kind")]'))).toBe('{no,[],[]}')
  })
})
