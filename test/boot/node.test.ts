/** The program as its users run it: a process of its own, with the real broker and a client that speaks MQTT. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connectAsync } from 'mqtt'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'

const ROOT = new URL('../../', import.meta.url).pathname
const PROGRAM = ['--import', 'tsx', join(ROOT, 'src/boot/main.ts')]

let folder: string
let children: ChildProcess[]
/** OS processes that were started in the background. */
let background: number[]

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'agner-node-'))
  children = []
  background = []
})
afterEach(async () => {
  for (const child of children) child.kill('SIGKILL')
  for (const pid of background) process.kill(pid, 'SIGKILL')
  await rm(folder, { recursive: true })
})

class Run {
  out = ''
  err = ''
  readonly child: ChildProcess
  readonly #ended: Promise<number | string>

  constructor(args: readonly string[]) {
    const env = { PATH: process.env.PATH, HOME: folder }
    this.child = spawn(process.execPath, [...PROGRAM, ...args], { cwd: ROOT, env })
    children.push(this.child)
    this.child.stderr!.on('data', (data: Buffer) => (this.err += String(data)))
    this.#ended = once(this.child, 'close').then(([code, signal]) => (code ?? signal) as number | string)
    this.child.stdout!.on('data', (data: Buffer) => (this.out += String(data)))
  }

  /** The exit code, or the signal that ended it. */
  ended(): Promise<number | string> {
    return this.#ended
  }

  /** The MQTT port, once the node has started. */
  async port(): Promise<number> {
    while (!this.out.includes('\nTry: ')) {
      await Promise.race([once(this.child.stdout!, 'data'), this.#ended])
      if (this.child.exitCode !== null) throw new Error(`ended with ${this.child.exitCode}: ${this.err}`)
    }
    return portIn(this.out)
  }
}

function portIn(output: string): number {
  return Number(/listener on mqtt:127\.0\.0\.1:(\d+)/.exec(output)![1])
}

const run = (...args: string[]) => new Run(['--cookie', 'x', '--set', 'listeners.tcp.port=0', ...args])

async function echo(port: number): Promise<string> {
  const client = await connectAsync(`mqtt://127.0.0.1:${port}`)
  await client.subscribeAsync('t', { qos: 1 })
  const message = new Promise<Buffer>((resolve) => client.once('message', (_, payload) => resolve(payload)))
  await client.publishAsync('t', 'hello', { qos: 1 })
  const payload = await message
  await client.endAsync()
  return String(payload)
}

describe('a node', () => {
  it('says that it is started, serves clients, and ends in order at SIGTERM', async () => {
    const node = run('--name', 'n1@127.0.0.1')
    expect(await echo(await node.port())).toBe('hello')
    expect(node.out.split('\n')[0]).toBe("Node 'n1@127.0.0.1' is started")
    node.child.kill('SIGTERM')
    expect(await node.ended()).toBe(0)
    const log = node.err.trim().split('\n')
    expect(log.map((line) => (JSON.parse(line) as { msg: string }).msg)).toEqual(['stopping', 'stopped'])
  })

  it('tells a client that is connected why it goes', async () => {
    const node = run('--name', 'n1@127.0.0.1')
    const client = await connectAsync(`mqtt://127.0.0.1:${await node.port()}`, { protocolVersion: 5 })
    const disconnected = new Promise((resolve) => client.once('disconnect', resolve))
    node.child.kill('SIGINT')
    expect(await disconnected).toMatchObject({ reasonCode: 0x8b })
    expect(await node.ended()).toBe(0)
    await client.endAsync(true)
  })

  it('that cannot have its port says so in one sentence and exits with 1', async () => {
    const first = run('--name', 'n1@127.0.0.1')
    const port = await first.port()
    const second = run('--name', 'n2@127.0.0.1', '--set', `listeners.tcp.port=${port}`)
    expect(await second.ended()).toBe(1)
    expect(second.out).toBe('')
    expect(second.err).toMatch(
      new RegExp(`^the listener tcp cannot listen on 127.0.0.1:${port}: the port is in use; .*\n$`),
    )
  })

  it('exits with 2 for access rules and configuration that are wrong', async () => {
    const [rules, config] = [join(folder, 'acl.conf'), join(folder, 'agner.toml')]
    await writeFile(rules, '{allow, all}.\n{deny}.\n')
    await writeFile(config, '[access]\nacl_file = "acl.conf"\n')
    const broken = run('--name', 'n1@127.0.0.1', '--config', config)
    expect(await broken.ended()).toBe(2)
    expect(broken.err).toMatch(new RegExp(`^${rules}:2: a rule is `))
    await writeFile(config, '[access]\nacl_fil = "acl.conf"\n')
    const misspelt = run('--name', 'n1@127.0.0.1', '--config', config)
    expect(await misspelt.ended()).toBe(2)
    expect(misspelt.err).toBe(`${config}:2: access.acl_fil is not a setting; did you mean acl_file?\n`)
  })

  it('makes a cookie file when it has no other cookie', async () => {
    const node = new Run(['--name', 'n1@127.0.0.1', '--set', 'listeners.tcp.port=0'])
    await node.port()
    expect((await stat(join(folder, '.agner.cookie'))).mode & 0o777).toBe(0o600)
    expect(node.err).not.toContain((await readFile(join(folder, '.agner.cookie'), 'utf8')).trim())
  })
})

describe('a node in the background', () => {
  it('has started when the command returns, logs to its data directory, and ends at SIGTERM', async () => {
    const command = run('--name', 'n1@127.0.0.1', '--detached', '--data-dir', join(folder, 'data'))
    expect(await command.ended()).toBe(0)
    expect(command.out).toContain("Node 'n1@127.0.0.1' is started\n")
    const pid = Number(/It is OS process (\d+)/.exec(command.out)![1])
    background.push(pid)
    expect(await echo(portIn(command.out))).toBe('hello')
    process.kill(pid, 'SIGTERM')
    const path = join(folder, 'data/agner.log')
    while (!(await readFile(path, 'utf8')).includes('"msg":"stopped"')) await new Promise(setImmediate)
    background.pop()
    expect((await stat(path)).mode & 0o777).toBe(0o600)
  })

  it('that cannot start says why, with the exit code of the start', async () => {
    const command = run(
      '--name',
      'n1@127.0.0.1',
      '--detached',
      '--data-dir',
      folder,
      '--set',
      'listeners.tcp.host=192.0.2.1',
    )
    expect(await command.ended()).toBe(1)
    expect(command.err).toMatch(
      /^the listener tcp cannot listen on 192\.0\.2\.1:0: this machine has no such address; .*\n$/,
    )
  })
})
