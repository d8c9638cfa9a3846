/** bin/epmd: its command line with a stand-in for the world, and the program itself beside Erlang's. */
import { spawn } from 'node:child_process'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type EpmdWorld, epmdPort, runEpmd } from '../../src/boot/epmd.ts'
import { startEpmdInBackground } from '../../src/boot/epmd-background.ts'
import { startEpmdServer } from '../../src/dist/epmd-server.ts'
import { epmdClient, epmdServer, registered, system, transport } from '../dist/epmd-support.ts'
import { startErl } from '../support/erl.ts'
import { run, startErlangEpmd } from '../support/erlang-epmd.ts'
import { eventually } from '../support/eventually.ts'
import { freePort } from '../support/free-port.ts'
import { program } from '../support/programs.ts'

const PROGRAM = program('src/boot/epmd-main')

/** Runs a command line in this process; a server ends when it is told to by `stop`. */
function epmd(argv: readonly string[], env: EpmdWorld['env'] = {}) {
  const world = { out: '', err: '', options: undefined as unknown, daemonised: [] as readonly string[], stop: () => {} }
  let ready: () => void
  const isReady = new Promise<void>((resolve) => {
    ready = resolve
  })
  const stopped = new Promise<void>((resolve) => {
    world.stop = resolve
  })
  const code = runEpmd({
    argv,
    env,
    out: (text) => (world.out += text),
    err: (text) => (world.err += text),
    client: (port) => epmdClient(port),
    startServer: (options) => {
      world.options = options
      return startEpmdServer({ ...options, transport, timers: system.timers, randomFill: system.randomFill })
    },
    ready: () => ready(),
    untilSignal: () => stopped,
    daemonise: (rest) => {
      world.daemonised = rest
      return Promise.resolve(0)
    },
  })
  return { world, code, isReady }
}

describe('bin/epmd', () => {
  it('serves until it is told to stop', async () => {
    const port = await freePort()
    const { code, isReady, world } = epmd(['-port', String(port)])
    await isReady
    await registered(epmdClient(port), 'n1')
    const names = epmd(['-port', String(port), '-names'])
    expect(await names.code).toBe(0)
    expect(names.world.out).toBe(`epmd: up and running on port ${port} with data:\nname n1 at port 4711\n`)
    world.stop()
    expect(await code).toBe(0)
    const gone = epmd(['-names', '-port', String(port)])
    expect(await gone.code).toBe(1)
    expect(gone.world.err).toBe('epmd: Cannot connect to local epmd\n')
  })

  it('is content when an epmd is there, and not when it is another program', async () => {
    const { port } = await epmdServer()
    const second = epmd(['-port', String(port)])
    expect(await second.code).toBe(0)
    expect(second.world.err).toContain(`there is already an epmd running at port ${port}`)
    const other = await transport.listen({ host: '127.0.0.1', port: 0 }, (stream) => stream.destroy())
    if (!other.ok) throw new Error(other.reason)
    onTestFinished(() => other.listener.close())
    const third = epmd(['-port', String(other.listener.address.port)])
    expect(await third.code).toBe(1)
    expect(third.world.err).toContain('in use by another program')
  })

  it('ends the epmd that runs by -kill, and unregisters by -stop where that is allowed', async () => {
    const port = await freePort()
    const server = epmd(['-port', String(port), '-relaxed_command_check'])
    await server.isReady
    await registered(epmdClient(port), 'n1')
    const words = ['-port', String(port)]
    expect(await epmd([...words, '-stop', 'n2']).code).toBe(1)
    expect(await epmd([...words, '-stop', 'n1']).code).toBe(0)
    expect(await epmd([...words, '-kill']).code).toBe(0)
    expect(await server.code).toBe(0)
    const strict = await epmdServer()
    await registered(epmdClient(strict.port), 'n1')
    const refused = epmd(['-port', String(strict.port), '-kill'])
    expect(await refused.code).toBe(1)
    expect(refused.world.err).toBe('Killing not allowed - living nodes in database.\n')
    const stop = epmd(['-port', String(strict.port), '-stop', 'n1'])
    expect(await stop.code).toBe(1)
    expect(stop.world.err).toBe('epmd: local epmd responded with <>\n')
  })

  it('goes to the background with the other words of its command line', async () => {
    const { code, world } = epmd(['-port', '4999', '-daemon', '-relaxed_command_check'])
    expect(await code).toBe(0)
    expect(world.daemonised).toEqual(['-port', '4999', '-relaxed_command_check'])
  })

  it.each([
    [[], undefined],
    [
      ['-address', '10.9.8.7,127.0.0.1'],
      ['127.0.0.1', '10.9.8.7'],
    ],
    [['-address', '10.9.8.7,0.0.0.0'], ['0.0.0.0']],
    [['--address', '::,0.0.0.0'], ['::']],
  ])('listens, by %j, on %j', async (argv, hosts) => {
    const seen: unknown[] = []
    await runEpmd({
      argv: [...argv, '-port', '4999'],
      env: {},
      out: () => {},
      err: () => {},
      client: (port) => epmdClient(port),
      startServer: (options) => {
        seen.push(options.port, options.hosts)
        return Promise.resolve({ ok: false, reason: 'EACCES' })
      },
      ready: () => {},
      untilSignal: () => Promise.resolve(),
      daemonise: () => Promise.resolve(0),
    })
    expect(seen).toEqual([4999, hosts])
  })

  it.each([[['-port']], [['-port', '0']], [['-port', '70000']], [['-what']], [['-address', 'host']], [['-stop']]])(
    'refuses %j',
    async (argv) => {
      const { code, world } = epmd(argv)
      expect(await code).toBe(2)
      expect(world.err).toContain('usage: epmd')
    },
  )

  it('takes its port from the environment', () => {
    expect(epmdPort({})).toBe(4369)
    expect(epmdPort({ ERL_EPMD_PORT: '5000' })).toBe(5000)
    expect(epmdPort({ ERL_EPMD_PORT: '5000', AGNER_EPMD_PORT: '5001' })).toBe(5001)
    expect(epmdPort({ ERL_EPMD_PORT: 'x' })).toContain('ERL_EPMD_PORT')
  })
})

describe('the program behind bin/epmd', () => {
  it('serves an Erlang node, tells by signal when it is over, and finds the epmd of Erlang', async () => {
    const port = await freePort()
    const child = spawn(process.execPath, [...PROGRAM, '-port', String(port)], { stdio: 'ignore' })
    onTestFinished(() => void child.kill('SIGKILL'))
    await eventually(async () => (await epmdClient(port).names()).ok)
    const erl = await startErl({ cookie: 'x', name: 'n1@127.0.0.1', epmdPort: port })
    expect(await erl.eval('element(1, erl_epmd:names("127.0.0.1"))')).toBe('ok')
    const names = await run(process.execPath, [...PROGRAM, '-port', String(port), '-names'])
    expect(names.stdout).toMatch(/^epmd: up and running on port \d+ with data:\nname n1 at port \d+\n$/)
    const exited = new Promise((resolve) => child.once('exit', (code) => resolve(code)))
    child.kill('SIGTERM')
    expect(await exited).toBe(0)
    const other = await freePort()
    await startErlangEpmd(other)
    const env = { ...process.env, ERL_EPMD_PORT: String(other) }
    expect((await run(process.execPath, [...PROGRAM], env)).code).toBe(0)
    expect((await run(process.execPath, [...PROGRAM, '-names'], env)).stdout).toContain(`port ${other}`)
  })

  it('lives on in the background, once for all who start it', async () => {
    const port = await freePort()
    onTestFinished(() => void epmdClient(port).kill())
    const env = { ...process.env, ERL_EPMD_PORT: String(port) }
    const codes = await Promise.all([1, 2, 3].map(() => startEpmdInBackground([], env, ['--import', 'tsx'])))
    expect(codes).toEqual([0, 0, 0])
    const registration = await registered(epmdClient(port), 'n1')
    expect(registration.isRegistered).toBe(true)
    registration.close()
    await eventually(async () => (await epmdClient(port).kill()) === 'OK')
    await eventually(async () => !(await epmdClient(port).names()).ok)
  })
})
