/** bin/observer as its users run it: a process of its own, against nodes that are processes of their own. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { parseObserverArgs } from '../../src/boot/observer-args.ts'
import { authority } from '../support/certificates.ts'
import { eventually } from '../support/eventually.ts'
import { freePort } from '../support/free-port.ts'
import { Peers, testPeers } from '../support/peer.ts'
import { program } from '../support/programs.ts'
import { hasTmux, Terminal } from '../support/terminal.ts'

const PROGRAM = program('src/boot/observer-main')

async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'agner-observer-'))
  onTestFinished(() => rm(path, { recursive: true }))
  return path
}

interface Ended {
  readonly code: number | string
  readonly out: string
  readonly err: string
}

/** Runs the program to its end. */
async function observer(epmdPort: number, args: readonly string[], input?: string): Promise<Ended> {
  const home = await folder()
  const env = { PATH: process.env.PATH, HOME: home, ERL_EPMD_PORT: String(epmdPort) }
  const child = spawn(process.execPath, [...PROGRAM, ...args], { env })
  onTestFinished(() => void child.kill('SIGKILL'))
  let [out, err] = ['', '']
  child.stdout.on('data', (data: Buffer) => (out += String(data)))
  child.stderr.on('data', (data: Buffer) => (err += String(data)))
  if (input !== undefined) child.stdin.end(input)
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null]
  return { code: code ?? signal!, out, err }
}

describe('the command line', () => {
  const parse = (...argv: string[]) => parseObserverArgs(argv, '1.2.3')

  it('takes our spellings and Erlang’s', () => {
    const expected = {
      kind: 'observe',
      options: { node: 'n1@127.0.0.1', cookie: 'x', name: 'me@127.0.0.1', evals: ['nodes()'] },
    }
    expect(parse('n1@127.0.0.1', '--cookie', 'x', '--name', 'me@127.0.0.1', '--eval', 'nodes()')).toMatchObject(
      expected,
    )
    expect(parse('n1@127.0.0.1', '-setcookie', 'x', '-name', 'me@127.0.0.1', '-eval', 'nodes()')).toMatchObject(
      expected,
    )
    expect(parse('n1', '--top', '--interval', '0.5', '--sort', 'msgq', '--rounds', '3')).toMatchObject({
      options: { top: { intervalMs: 500, lines: 20, sort: 'msgq', rounds: 3 } },
    })
  })

  it.each([
    [[], "missing required argument 'NODE'"],
    [['n1', 'n2'], 'too many arguments'],
    [['n1', '--nosuch'], "unknown option '--nosuch'"],
    [['n1', '--eval', '1', '--top'], '--eval and --top exclude each other'],
    [['n1', '--name', 'a@b', '--sname', 'c'], '--name and --sname exclude each other'],
    [['n1', '--top', '--interval', '0'], 'must be a number from 0.1 to 60'],
    [['n1', '--top', '--sort', 'x'], 'Allowed choices are reds, msgq, memory'],
  ])('refuses %j', (argv, problem) => {
    expect(parse(...argv)).toEqual({ kind: 'refuse', problem: expect.stringContaining(problem) })
  })
})

describe('bin/observer', () => {
  let peers: Peers

  beforeAll(async () => {
    peers = await Peers.create()
    await peers.start('n1@127.0.0.1')
  })
  afterAll(() => peers.end())

  it('prints the values of expressions and leaves', async () => {
    const some = [
      '--eval',
      "nodes('hidden')",
      '--eval',
      "supTree('session_sup')",
      '--eval',
      "tv('route')",
      '--eval',
      '[1, 2]',
    ]
    const args = ['n1@127.0.0.1', '--cookie', 'secret', '--name', 'firecat@127.0.0.1', ...some]
    expect(await observer(peers.epmdPort, args)).toEqual({
      code: 0,
      out: expect.stringMatching(
        /^\[ 'firecat@127\.0\.0\.1' \]\nsession_sup {2}<1\.\d+\.0> {2}supervisor\n\[\]\n0 of 0 rows\n\[ 1, 2 \]\n$/,
      ),
      err: '',
    })
  })

  it('leaves with 1 at the first expression that fails, and changes nothing unless it is told --yes', async () => {
    const change = ['n1', '--cookie', 'secret', '--eval', "exit('sysmon')"]
    const [failing, asking] = await Promise.all([
      observer(peers.epmdPort, ['n1', '--cookie', 'secret', '--eval', "i('nobody')", '--eval', '1']),
      observer(peers.epmdPort, change),
    ])
    expect(failing).toEqual({ code: 1, out: '', err: 'there is no process nobody on n1@127.0.0.1\n' })
    expect(asking).toMatchObject({
      code: 1,
      err: expect.stringMatching(/^exit ends .* sysmon .*: add --yes to have it done\n$/),
    })
    expect(await observer(peers.epmdPort, ['--yes', ...change])).toMatchObject({ code: 0, out: 'true\n' })
  })

  it('says why it cannot connect', async () => {
    const [wrongCookie, noNode, taken, noEpmd, badUsage] = await Promise.all([
      observer(peers.epmdPort, ['n1@127.0.0.1', '--cookie', 'other', '--eval', '1']),
      observer(peers.epmdPort, ['n2@127.0.0.1', '--cookie', 'secret', '--eval', '1']),
      observer(peers.epmdPort, ['n1@127.0.0.1', '--cookie', 'secret', '--name', 'n1@127.0.0.1', '--eval', '1']),
      observer(await freePort(), ['n1@127.0.0.1', '--cookie', 'secret', '--eval', '1']),
      observer(peers.epmdPort, []),
    ])
    expect(wrongCookie).toEqual({ code: 1, out: '', err: expect.stringContaining('it does not take the cookie') })
    expect(noNode).toMatchObject({ code: 1, err: expect.stringContaining('the epmd of 127.0.0.1 knows no node n2') })
    expect(taken).toMatchObject({ code: 1, err: expect.stringContaining('seems to be in use by another node') })
    expect(noEpmd).toMatchObject({ code: 1, err: expect.stringContaining('no epmd answers on port') })
    for (const { err } of [wrongCookie, noNode, taken, noEpmd]) expect(err.split('\n')).toHaveLength(2)
    expect(badUsage).toMatchObject({ code: 2, err: expect.stringContaining('Try bin/observer --help') })
  })

  it('talks as the nodes talk', async () => {
    const secured = await testPeers()
    const { files } = await (await authority()).sign('n1', 'IP:127.0.0.1')
    const tls = ['dist.proto=inet_tls', ...Object.entries(files).map(([name, file]) => `dist.tls.${name}=${file}`)]
    await secured.start('n1@127.0.0.1', { sets: tls })
    const args = ['n1', '--cookie', 'secret', '--eval', 'node()']
    const [with_, without] = await Promise.all([
      observer(secured.epmdPort, [...args, ...tls.flatMap((set) => ['--set', set])]),
      observer(secured.epmdPort, args),
    ])
    expect(with_).toEqual({ code: 0, out: "'n1@127.0.0.1'\n", err: '' })
    expect(without).toMatchObject({ code: 1, err: expect.stringContaining('cannot connect to n1@127.0.0.1') })
  })

  it('prints text top round by round', async () => {
    const top = ['n1', '--cookie', 'secret', '--top', '--interval', '0.2', '--rounds', '2', '--lines', '3']
    const { code, out } = await observer(peers.epmdPort, top)
    expect(code).toBe(0)
    const rounds = out.split(/^=+$/m).slice(1)
    expect(rounds).toHaveLength(2)
    for (const round of rounds) {
      expect(round).toMatch(/^\n n1@127\.0\.0\.1 {3}agner 0\.1\.0 {3}up \d\d:\d\d:\d\d/)
      expect(round).toMatch(/ Load: {3}busy \d+% {3}runq \d+ {3}procs \d+/)
      expect(round).toMatch(/PID +NAME +REDS PER SEC +REDS +MSGQ\n(<1\.\d+\.\d+> .*\n){3}/)
    }
  })

  it('answers lines from a pipe', async () => {
    const lines = 'node()\nconst x = regs()\nx.length > 3\n'
    const { code, out } = await observer(peers.epmdPort, ['n1', '--cookie', 'secret'], lines)
    expect(code).toBe(0)
    expect(out).toMatch(
      /^observer \d.*: n1@127\.0\.0\.1, agner 0\.1\.0, looked at by the hidden node observer-\w{8}@127\.0\.0\.1\n/,
    )
    expect(out).toMatch(/\)1> 'n1@127\.0\.0\.1'\n.*\)2> NAME +PID[\s\S]*\)3> true\n/)
  })
})

describe.skipIf(!hasTmux)('the prompt, in a terminal', () => {
  async function prompt(args: readonly string[] = []) {
    const peers = await testPeers()
    const node = await peers.start('n1@127.0.0.1')
    const { epmdPort } = peers
    const home = await folder()
    const command = [process.execPath, ...PROGRAM, 'n1@127.0.0.1', '--cookie', 'secret', ...args]
    const terminal = await Terminal.start(command, { env: { HOME: home, ERL_EPMD_PORT: String(epmdPort) } })
    await terminal.shows('(n1@127.0.0.1)1>')
    return { terminal, home, node, epmdPort }
  }

  it('counts lines, binds values, and reads pids as they are shown', async () => {
    const { terminal } = await prompt()
    await terminal.line("const c = await whereis('observer_backend')")
    const pid = /<1\.\d+\.\d+>/.exec(await terminal.shows(/<1\.\d+\.\d+>\n.*\)2>$/))![0]
    await terminal.line(`sys.getState(${pid})`)
    await terminal.shows(/\{ version: '.*', waiting: 0, windows: 0 \}\n.*\)3>$/)
    await terminal.line('v(1)')
    await terminal.shows(new RegExp(`v\\(1\\)\\n${pid}\\n.*\\)4>$`))
    await terminal.line('[1, 2')
    await terminal.shows(/\[1, 2\n\.\.\.$/)
    await terminal.line(']')
    await terminal.shows(/\[ 1, 2 \]\n.*\)5>$/)
    await terminal.line('nodes().')
    await terminal.shows(/nodes\(\)\.\n\[\]\n.*\)6>$/)
  })

  it('ends a busy loop and leaves an await at Ctrl+C', async () => {
    const { terminal } = await prompt()
    await terminal.line("console.log('runs'); for (;;) {}")
    await terminal.shows('\nruns')
    await terminal.press('C-c')
    await terminal.shows(/\*\* interrupted\n.*\)2>$/)
    await terminal.line("console.log('waits'); await new Promise(() => {})")
    await terminal.shows('\nwaits')
    await terminal.press('C-c')
    await terminal.shows(/\*\* interrupted\n.*\)3>$/)
    await terminal.type('half a line')
    await terminal.press('C-c')
    await terminal.shows(/half a line\^C\n.*\)3>$/)
  })

  it('completes names of commands, of processes, and pids', async () => {
    const { terminal } = await prompt()
    await terminal.type('supT')
    await terminal.press('Tab')
    await terminal.shows(/\)1> supTree$/)
    await terminal.type("('session_s")
    await terminal.press('Tab')
    await terminal.shows(/supTree\('session_sup$/)
    await terminal.line("')")
    const pid = /session_sup {2}(<1\.\d+\.\d+>)/.exec(await terminal.shows(/session_sup {2}<1.*\n.*\)2>$/))![1]!
    await terminal.type(`i(${pid.slice(0, -3)}`)
    await terminal.press('Tab')
    await terminal.shows(`i(${pid}`)
  })

  it('asks before a change, and tells when the node is gone', async () => {
    const { terminal, node } = await prompt()
    await terminal.line("exit('sysmon')")
    await terminal.shows(/sysmon on n1@127\.0\.0\.1 with 'kill'\. Really\? \(y\/N\)$/)
    await terminal.line('n')
    await terminal.shows(/\*\* not done\n.*\)2>$/)
    await terminal.line("exit('sysmon')")
    await terminal.shows(/\)2> exit[\s\S]*Really\? \(y\/N\)$/)
    await terminal.line('y')
    await terminal.shows(/\(y\/N\) y\ntrue\n.*\)3>$/)
    await node.kill()
    await terminal.shows(/\*\* n1@127\.0\.0\.1 is gone: .*\n.*\)3>$/)
    await terminal.line('uptime()')
    await terminal.shows(/\*\* n1@127\.0\.0\.1 cannot be reached\n.*\)4>$/)
  })

  it('keeps its lines for the next time, without secrets, for the user alone', async () => {
    const { terminal, home, epmdPort } = await prompt()
    await terminal.line("'first line'")
    await terminal.shows(/'first line'\n.*\)2>$/)
    await terminal.line("const cookie = 'second line'")
    await terminal.shows(/\)3>$/)
    await terminal.press('C-d')
    const file = join(home, '.agner.history', 'n1@127.0.0.1')
    expect(await eventually(async () => readFile(file, 'utf8'))).toBe("'first line'")
    expect((await stat(file)).mode & 0o777).toBe(0o600)
    const command = [process.execPath, ...PROGRAM, 'n1@127.0.0.1', '--cookie', 'secret']
    const again = await Terminal.start(command, { env: { HOME: home, ERL_EPMD_PORT: String(epmdPort) } })
    await again.shows(')1>')
    await again.press('Up')
    await again.shows(/\)1> 'first line'$/)
  })
})
