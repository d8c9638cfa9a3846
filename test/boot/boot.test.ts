import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { boot, type World } from '../../src/boot/boot.ts'
import type { NodeStart, RunningNode } from '../../src/boot/run-node.ts'
import { NodeStartError } from '../../src/boot/start-error.ts'
import { verifyPassword } from '../../src/broker/access/auth-password.ts'
import { authority } from '../support/certificates.ts'
import { deferred } from '../support/deferred.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'agner-boot-'))
})
afterEach(() => rm(folder, { recursive: true }))

/** The node does not end by itself. */
const NEVER = new Promise<never>(() => {})
const LISTENERS = [{ name: 'mqtt', host: '127.0.0.1', port: 1883 }]
const NODE = { listeners: LISTENERS, openConsole: () => NEVER, asked: NEVER, ended: NEVER }

/** A world in which a node starts at once and is told to stop when it has started. */
function world(over: Partial<World> = {}) {
  const seen = {
    out: '',
    err: '',
    log: [] as Record<string, unknown>[],
    starts: [] as NodeStart[],
    order: [] as string[],
  }
  const all: World = {
    argv: ['--name', 'n1@127.0.0.1', '--cookie', 'topsecret'],
    env: {},
    home: folder,
    hostname: 'host1.example.org',
    root: folder,
    version: '9.8.7',
    isInBackground: false,
    isTerminal: false,
    out: (text) => {
      seen.out += text
      seen.order.push('out')
    },
    err: (text) => {
      seen.err += text
    },
    log: (line) => void seen.log.push(JSON.parse(line) as Record<string, unknown>),
    readStdin: async () => Buffer.alloc(0),
    resolveHost: async () => ['127.0.0.1'],
    startEpmd: async (port) => void seen.order.push(`epmd ${port}`),
    runNode: async (start): Promise<RunningNode> => {
      seen.starts.push(start)
      seen.order.push('started')
      return { ...NODE, stop: async () => void seen.order.push('stopped') }
    },
    terminal: { input: process.stdin, output: process.stdout, home: folder },
    untilSignal: async () => 'SIGTERM',
    detach: async () => 0,
    ...over,
  }
  return { seen, run: () => boot(all) }
}

describe('a node', () => {
  it('says that it is started when it is, then where it listens and what to type next, and stops in order', async () => {
    const { seen, run } = world()
    expect(await run()).toBe(0)
    const [first, second, third] = seen.out.split('\n')
    expect(first).toBe("Node 'n1@127.0.0.1' is started")
    expect(second).toBe('listener on mqtt:127.0.0.1:1883')
    expect(third).toContain('mosquitto_sub -h 127.0.0.1 -p 1883 -t hello')
    expect(seen.order).toEqual(['started', 'out', 'stopped'])
    expect(seen.err).toBe('')
  })

  it('reads everything again and starts again when it is asked to, and leaves with 0 when it is asked to stop', async () => {
    const path = join(folder, 'a.toml')
    await writeFile(path, '[mqtt]\nmax_packet_size = "1KB"\n')
    const ends = ['restart', 'stop'] as const
    const { seen, run } = world({
      argv: ['--name', 'n1@127.0.0.1', '--cookie', 'x', '--config', path],
      untilSignal: () => NEVER,
      runNode: async (start): Promise<RunningNode> => {
        seen.starts.push(start)
        await writeFile(path, '[mqtt]\nmax_packet_size = "2KB"\n')
        return {
          ...NODE,
          asked: Promise.resolve(ends[seen.starts.length - 1]!),
          stop: async () => void seen.order.push('stopped'),
        }
      },
    })
    expect(await run()).toBe(0)
    expect(seen.starts.map(({ config }) => config.mqtt.maxPacketBytes)).toEqual([1024, 2048])
    expect(seen.order).toEqual(['out', 'stopped', 'out', 'stopped'])
  })

  it('with a console stops when the user leaves that, and shows its log there', async () => {
    const notices: string[] = []
    const left = deferred<void>()
    const nodeConsole = { ended: left.promise, notice: (text: string) => void notices.push(text), close: () => {} }
    const { seen, run } = world({
      argv: ['--name', 'n1@127.0.0.1', '--cookie', 'x', '--console'],
      untilSignal: () => NEVER,
      runNode: async ({ logger }): Promise<RunningNode> => {
        const openConsole = async () => {
          setImmediate(() => {
            logger.info('while it is open')
            left.resolve()
          })
          return nodeConsole
        }
        return { ...NODE, openConsole, stop: async () => void seen.order.push('stopped') }
      },
    })
    expect(await run()).toBe(0)
    expect(notices.join()).toContain('while it is open')
    expect(seen.order).toEqual(['out', 'stopped'])
  })

  it('leaves with 1 when the node ends by itself', async () => {
    const { seen, run } = world({
      runNode: async () => ({
        ...NODE,
        ended: Promise.resolve('shutdown'),
        stop: async () => void seen.order.push('stopped'),
      }),
      untilSignal: () => NEVER,
    })
    expect(await run()).toBe(1)
    expect(seen.order).toEqual(['out', 'stopped'])
    expect(seen.log).toContainEqual(expect.objectContaining({ level: 'fatal', reason: 'shutdown' }))
  })

  it('says nothing before every listener is open', async () => {
    const opened = deferred<RunningNode>()
    const { seen, run } = world({ runNode: () => opened.promise })
    const running = run()
    await new Promise((resolve) => setImmediate(resolve))
    expect(seen.out).toBe('')
    opened.resolve({ ...NODE, stop: async () => undefined })
    expect(await running).toBe(0)
    expect(seen.out).toContain('is started')
  })

  it('runs until it is told to stop', async () => {
    const signal = deferred<string>()
    const { seen, run } = world({ untilSignal: () => signal.promise })
    const running = run()
    await new Promise((resolve) => setTimeout(resolve, 0))
    expect(seen.order).not.toContain('stopped')
    signal.resolve('SIGINT')
    expect(await running).toBe(0)
    expect(seen.log.map(({ msg, signal: name }) => [msg, name])).toEqual([
      ['stopping', 'SIGINT'],
      ['stopped', undefined],
    ])
  })

  it('starts with its name, cookie, data directory and configuration', async () => {
    const path = join(folder, 'a.toml')
    await writeFile(path, '[listeners.tcp]\nport = 1\nbacklog = 2\n[access]\nacl_file = "rules/acl.conf"\n')
    const { seen, run } = world({
      argv: ['-name', 'n1@127.0.0.1', '--config', path, '--set', 'listeners.tcp.port=0', '--data-dir', '/d'],
      env: { AGNER_COOKIE: 'x', AGNER_LISTENERS__TCP__BACKLOG: '20' },
    })
    expect(await run()).toBe(0)
    const [start] = seen.starts
    expect(start).toMatchObject({ name: 'n1@127.0.0.1', cookie: 'x', dataDir: '/d', version: '9.8.7' })
    expect(start!.config.listeners.tcp).toMatchObject({ port: 0, backlog: 20 })
    expect(start).toMatchObject({ hidden: false, cluster: { seeds: [], confirmSeeds: false }, epmdPort: 4369 })
    expect(start!.dist).toMatchObject({ listen: { port: 0 }, netTicktimeMs: 60_000, mesh: true })
    expect(start!.config.access.aclFile).toBe(join(folder, 'rules/acl.conf'))
  })

  it('takes what it says to other nodes from the command line, the settings and the environment', async () => {
    const line = '--name n1@127.0.0.1 --cookie x --hidden --join n2@127.0.0.1 --set dist.port=9101'.split(' ')
    const { seen, run } = world({
      argv: [...line, '--set', 'dist.net_ticktime=8', '--set', 'dist.connect_all=false'],
      env: { ERL_EPMD_PORT: '4370', AGNER_EPMD_PORT: '4371', AGNER_DIST__LISTEN: '127.0.0.3' },
    })
    expect(await run()).toBe(0)
    const [start] = seen.starts
    expect(start).toMatchObject({ hidden: true, cluster: { seeds: ['n2@127.0.0.1'] }, epmdPort: 4371 })
    expect(start!.dist).toMatchObject({ listen: { host: '127.0.0.3', port: 9101 }, netTicktimeMs: 8000, mesh: false })
    await start!.startEpmd()
    expect(seen.order.at(-1)).toBe('epmd 4371')
    const { seen: bad, run: runBad } = world({ env: { ERL_EPMD_PORT: 'x' } })
    expect(await runBad()).toBe(2)
    expect(bad.err).toBe('ERL_EPMD_PORT must be a port between 1 and 65535, not x\n')
  })

  it('has the host of this machine in a short name', async () => {
    const { seen, run } = world({ argv: ['--sname', 'n1', '--cookie', 'x'] })
    expect(await run()).toBe(0)
    expect(seen.starts[0]!.name).toBe('n1@host1')
    expect(seen.out).toContain("Node 'n1@host1' is started")
  })

  it('reads its certificates beside the configuration file, and says which cannot be read', async () => {
    const path = join(folder, 'a.toml')
    await writeFile(path, '[dist]\nproto = "inet_tls"\ntls.cert = "c.pem"\ntls.key = "k.pem"\ntls.ca = "ca.pem"\n')
    const argv = ['--name', 'n1@127.0.0.1', '--cookie', 'x', '--config', path]
    const { seen, run } = world({ argv })
    expect(await run()).toBe(2)
    expect(seen.err.split('\n')[0]).toBe(`dist.tls.cert: ${join(folder, 'c.pem')} cannot be read: ENOENT`)
    for (const file of ['c.pem', 'k.pem', 'ca.pem']) await writeFile(join(folder, file), 'nothing')
    const { seen: bad, run: runBad } = world({ argv })
    expect(await runBad()).toBe(2)
    expect(bad.err).toContain('dist.tls: certificate and key cannot be used: ')
    const { cert, key, ca } = (await (await authority()).sign('n1', 'IP:127.0.0.1')).files
    const sets = [`cert=${cert}`, `key=${key}`, `ca=${ca}`].flatMap((set) => ['--set', `dist.tls.${set}`])
    const { seen: good, run: runGood } = world({ argv: [...argv, ...sets] })
    expect(await runGood()).toBe(0)
    expect(good.starts[0]!.dist.transport!.proto).toBe('inet_tls')
  })

  it('logs lines of JSON without a terminal, never the cookie', async () => {
    const { seen, run } = world()
    await run()
    expect(seen.log[0]).toMatchObject({ level: 'info', node: 'n1@127.0.0.1', msg: 'stopping' })
    const { seen: verbose, run: runVerbose } = world({
      argv: ['--name', 'n1@127.0.0.1', '--cookie', 'topsecret', '--set', 'log.level=trace'],
      runNode: async (start) => {
        start.logger.info({ start, cookie: start.cookie }, 'starting')
        return { ...NODE, stop: async () => undefined }
      },
    })
    await runVerbose()
    expect(verbose.log[0]).toMatchObject({ msg: 'starting', cookie: '***' })
    expect(JSON.stringify(verbose)).not.toContain('topsecret')
  })

  it('logs for people on a terminal', async () => {
    const lines: string[] = []
    const { run } = world({ isTerminal: true, env: { NO_COLOR: '1' }, log: (line) => void lines.push(line) })
    await run()
    expect(lines.join('')).toMatch(/^\[\d\d:\d\d:\d\d\.\d{3}\] INFO.*stopping/)
  })

  it('reads etc/agner.toml of the package when no other is named', async () => {
    const { seen, run } = world({ root: new URL('../..', import.meta.url).pathname })
    expect(await run()).toBe(0)
    expect(seen.starts[0]!.config.access.aclFile).toBe('')
  })
})

describe('a start that fails', () => {
  const failing = (error: Error & { code?: string; address?: string; port?: number }) =>
    world({ runNode: () => Promise.reject(error) })
  const socketError = (code: string) =>
    Object.assign(new Error(`listen ${code}`), { code, address: '127.0.0.1', port: 1883 })

  it.each([
    [
      'EADDRINUSE',
      'the port is in use; end the program that has it, or choose another with --set listeners.tcp.port=PORT',
    ],
    ['EACCES', 'this user may not; choose a port above 1023 with --set listeners.tcp.port=PORT'],
    ['EADDRNOTAVAIL', 'this machine has no such address; choose another with --set listeners.tcp.host=ADDRESS'],
  ])('with %s says which listener and which key, exit 1', async (code, sentence) => {
    const { seen, run } = failing(socketError(code))
    expect(await run()).toBe(1)
    expect(seen.err).toBe(`the listener tcp cannot listen on 127.0.0.1:1883: ${sentence}\n`)
    expect(seen.out).toBe('')
  })

  it('keeps the crash reports to itself when the sentence says all, and logs them otherwise', async () => {
    const fails = (error: Error, ...sets: string[]) =>
      world({
        argv: ['--name', 'n1@127.0.0.1', '--cookie', 'x', ...sets],
        runNode: ({ logger }) => {
          logger.warn('slow')
          logger.error('crashed')
          return Promise.reject(error)
        },
      })
    const messages = async ({ seen, run }: ReturnType<typeof world>) => {
      await run()
      return seen.log.map(({ msg }) => msg)
    }
    expect(await messages(fails(socketError('EADDRINUSE')))).toEqual(['slow'])
    expect(await messages(fails(new Error('out of luck')))).toEqual(['slow', 'crashed'])
    expect(await messages(fails(socketError('EADDRINUSE'), '--set', 'log.level=debug'))).toContain('crashed')
    const started = world({
      runNode: async ({ logger }) => {
        logger.error('crashed once')
        return { ...NODE, stop: async () => undefined }
      },
    })
    expect(await messages(started)).toContain('crashed once')
  })

  it.each([
    ['name_in_use', '', 1, 'why\n'],
    ['epmd', 'ECONNREFUSED', 1, 'why\n'],
    ['bad_name', '', 2, 'why\n'],
    [
      'listen',
      'EADDRINUSE',
      1,
      'the node cannot listen on 127.0.0.1:9101 for other nodes: the port is in use; end the program that has it, or choose another with --set dist.port=PORT\n',
    ],
    ['listen', 'EWHAT', 1, 'the node cannot listen on 127.0.0.1:9101 for other nodes: EWHAT\n'],
  ] as const)(
    'of the distribution, %s %s, exits with its code and one sentence',
    async (reason, detail, code, sentence) => {
      const at = { host: '127.0.0.1', port: 9101 }
      const { seen, run } = failing(new NodeStartError({ ok: false, reason, problem: 'why', detail, at }))
      expect(await run()).toBe(code)
      expect(seen.err).toBe(sentence)
    },
  )

  it('finds the reason inside that of a supervisor', async () => {
    const reason = { shutdown: { failed_to_start_child: ['listener_tcp', { error: 'EADDRINUSE' }] } }
    const { seen, run } = failing(Object.assign(new Error('exit'), { reason }))
    expect(await run()).toBe(1)
    expect(seen.err).toContain('the listener tcp cannot listen on 127.0.0.1:1883: the port is in use')
  })

  it('for mistakes in the access rules shows them, exit 2', async () => {
    const { seen, run } = failing(Object.assign(new Error('acl.conf:3: a rule is …'), { code: 'bad_acl_file' }))
    expect(await run()).toBe(2)
    expect(seen.err).toBe('acl.conf:3: a rule is …\n')
  })

  it('with anything else says it in one sentence, exit 1', async () => {
    const { seen, run } = failing(new Error('out of luck'))
    expect(await run()).toBe(1)
    expect(seen.err).toBe('the node cannot start: out of luck\n')
  })
})

describe('a command line that cannot be', () => {
  const refused = async (over: Partial<World>) => {
    const { seen, run } = world(over)
    const code = await run()
    expect(seen.starts).toEqual([])
    expect(seen.out).toBe('')
    return { code, err: seen.err }
  }

  it.each([
    [['--nam', 'n1@127.0.0.1'], /unknown option '--nam'/],
    [['--name', 'n1'], /the node name n1 has no host/],
    [['--sname', 'n1@127.0.0.1'], /the short node name n1@127.0.0.1 must not have a dot or be an address/],
    [['--name', 'n1@127.0.0.1', '--join', 'n1@127.0.0.1'], /^--join n1@127.0.0.1 is the node itself/],
    [['--name', 'n1@127.0.0.1', '--join', 'n2'], /^--join takes the name of a node, NAME@HOST, not n2/],
    [['--name', 'n1@127.0.0.1', '--join', 'n2@host1'], /^--join n2@host1: nodes with long and with short names/],
    [['--name', 'n1@127.0.0.1', '--set', 'dist.port=-1'], /^--set dist.port: dist.port must be a whole number/],
    [
      ['--name', 'n1@127.0.0.1', '--set', 'dist.proto=inet_tls'],
      /^dist.proto is "inet_tls", which needs dist.tls.cert/,
    ],
    [
      ['--name', 'n1@127.0.0.1', '--set', 'listeners.tcp.port=x'],
      /^--set listeners.tcp.port: listeners.tcp.port must be/,
    ],
    [
      ['--name', 'n1@127.0.0.1', '--config', '/no/such.toml'],
      /^the configuration file \/no\/such.toml cannot be read: ENOENT/,
    ],
    [['--name', 'n1@127.0.0.1', '--cookie', 'a b'], /^the cookie of --cookie has characters/],
  ])('%j is refused with exit 2', async (argv, sentence) => {
    const { code, err } = await refused({ argv })
    expect(code).toBe(2)
    expect(err).toMatch(sentence)
  })

  it('names file, line and key of what is wrong in the configuration, all at once', async () => {
    const path = join(folder, 'a.toml')
    await writeFile(path, '[mqtt]\nmax_qos_allowed = 3\nidle_timeout = "x"\n')
    const { code, err } = await refused({ argv: ['--name', 'n1@127.0.0.1', '--config', path] })
    expect(code).toBe(2)
    expect(err.trim().split('\n')).toEqual([
      expect.stringContaining(`${path}:3: mqtt.idle_timeout must be a time such as`),
      `${path}:2: mqtt.max_qos_allowed must be one of 0, 1, 2, not 3`,
    ])
  })

  it('has a name whose host does not resolve', async () => {
    const resolveHost = () => Promise.reject(new Error('ENOTFOUND'))
    expect((await refused({ argv: ['--name', 'n1@host1'], resolveHost })).code).toBe(2)
  })

  it('is warned about in the log when the host has no dot but resolves', async () => {
    const { seen, run } = world({ argv: ['--name', 'n1@host1', '--cookie', 'x'] })
    expect(await run()).toBe(0)
    expect(seen.log[0]).toMatchObject({
      level: 'warn',
      msg: expect.stringContaining('should be an IP address or have a dot'),
    })
  })
})

describe('other commands', () => {
  it('--version and --help print and leave', async () => {
    const { seen, run } = world({ argv: ['--version'] })
    expect([await run(), seen.out]).toEqual([0, '9.8.7\n'])
  })

  it('--hash-password prints a hash of what it reads', async () => {
    const { seen, run } = world({ argv: ['--hash-password'], readStdin: async () => Buffer.from('secret\n') })
    expect(await run()).toBe(0)
    expect(await verifyPassword(Buffer.from('secret'), seen.out.trim())).toBe(true)
    const { run: runEmpty } = world({ argv: ['--hash-password'] })
    expect(await runEmpty()).toBe(2)
  })

  it('--detached leaves the start to the background, after all that can be checked before', async () => {
    const asked: string[] = []
    const detach = async (dataDir: string) => {
      asked.push(dataDir)
      return 0
    }
    const argv = ['--name', 'n1@127.0.0.1', '--cookie', 'x', '--detached']
    expect(await world({ argv, detach }).run()).toBe(0)
    const short = ['--sname', 'n1', '--cookie', 'x', '--detached']
    expect(await world({ argv: short, detach }).run()).toBe(0)
    expect(asked).toEqual(['data/n1@127.0.0.1', 'data/n1@host1'])
    expect(await world({ argv: [...argv, '--set', 'x'], detach }).run()).toBe(2)
    expect(asked).toHaveLength(2)
  })
})
