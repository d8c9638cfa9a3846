/** The program as its users run it: a process of its own, with the real broker and a client that speaks MQTT. */
import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { connectAsync } from 'mqtt'
import { describe, expect, it, onTestFinished } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { testPeers } from '../support/peer.ts'

const NAME = 'n1@127.0.0.1'

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
    const node = await (await testPeers()).start(NAME)
    expect(await echo(node.mqttPort)).toBe('hello')
    expect(node.out.split('\n').slice(0, 3)).toEqual([
      `Node '${NAME}' is started`,
      `listener on mqtt:127.0.0.1:${node.mqttPort}`,
      `listener on dist:127.0.0.1:${node.distPort}`,
    ])
    expect(await node.stop()).toBe(0)
    expect(node.log.map(({ msg }) => msg)).toEqual(['stopping', 'stopped'])
  })

  it('tells a client that is connected why it goes', async () => {
    const node = await (await testPeers()).start(NAME)
    const client = await connectAsync(`mqtt://127.0.0.1:${node.mqttPort}`, { protocolVersion: 5 })
    const disconnected = new Promise((resolve) => client.once('disconnect', resolve))
    node.child.kill('SIGINT')
    expect(await disconnected).toMatchObject({ reasonCode: 0x8b })
    expect(await node.ended).toBe(0)
    await client.endAsync(true)
  })

  it('that cannot have its port says so in one sentence, exits with 1 and gives its name back', async () => {
    const peers = await testPeers()
    const { mqttPort } = await peers.start(NAME)
    const second = peers.launch('n2@127.0.0.1', { sets: [`listeners.tcp.port=${mqttPort}`] })
    expect(await second.ended).toBe(1)
    expect(second.out).toBe('')
    expect(second.err).toMatch(
      new RegExp(`^the listener tcp cannot listen on 127.0.0.1:${mqttPort}: the port is in use; .*\n$`),
    )
    expect((await peers.names()).map(({ name }) => name)).toEqual(['n1'])
  })

  it('that may not write to its data directory says so in one sentence, and exits with 1', async () => {
    // Nobody may write there, the superuser neither.
    const node = (await testPeers()).launch(NAME, { args: ['--data-dir', '/sys/agner'] })
    expect(await node.ended).toBe(1)
    expect(node.out).toBe('')
    expect(node.err).toMatch(
      /^cannot open the store in \/sys\/agner\/tables: it must be writable for the user that runs the node \(\w+\)\n$/,
    )
  })

  it('that cannot have its port for other nodes says so too', async () => {
    const peers = await testPeers()
    const { distPort } = await peers.start(NAME)
    const second = peers.launch('n2@127.0.0.1', { sets: [`dist.port=${distPort}`] })
    expect(await second.ended).toBe(1)
    expect(second.err).toMatch(
      new RegExp(`^the node cannot listen on 127.0.0.1:${distPort} for other nodes: the port is in use; .*\n$`),
    )
  })

  it('exits with 2 for access rules and configuration that are wrong', async () => {
    const peers = await testPeers()
    const [rules, config] = [join(peers.folder, 'acl.conf'), join(peers.folder, 'agner.toml')]
    await writeFile(rules, '{allow, all}.\n{deny}.\n')
    await writeFile(config, '[access]\nacl_file = "acl.conf"\n')
    const broken = peers.launch(NAME, { args: ['--config', config] })
    expect(await broken.ended).toBe(2)
    expect(broken.err).toMatch(new RegExp(`^${rules}:2: a rule is `))
    await writeFile(config, '[access]\nacl_fil = "acl.conf"\n')
    const misspelt = peers.launch(NAME, { args: ['--config', config] })
    expect(await misspelt.ended).toBe(2)
    expect(misspelt.err).toBe(`${config}:2: access.acl_fil is not a setting; did you mean acl_file?\n`)
  })

  it('makes a cookie file when it has no other cookie', async () => {
    const peers = await testPeers()
    const node = await peers.start(NAME, { cookie: undefined })
    const path = join(peers.folder, '.agner.cookie')
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    expect(node.err).not.toContain((await readFile(path, 'utf8')).trim())
  })
})

describe('a node in the background', () => {
  it('has started when the command returns, logs to its data directory, and ends at SIGTERM', async () => {
    const peers = await testPeers()
    const command = peers.launch(NAME, { args: ['--detached'] })
    expect(await command.ended).toBe(0)
    expect(command.out).toContain(`Node '${NAME}' is started\n`)
    const pid = Number(/It is OS process (\d+)/.exec(command.out)![1])
    let isEnded = false
    onTestFinished(() => void (isEnded || process.kill(pid, 'SIGKILL')))
    expect(await echo(command.mqttPort)).toBe('hello')
    process.kill(pid, 'SIGTERM')
    const path = join(peers.folder, 'data', NAME, 'agner.log')
    await eventually(async () => expect(await readFile(path, 'utf8')).toContain('"msg":"stopped"'))
    isEnded = true
    expect((await stat(path)).mode & 0o777).toBe(0o600)
  })

  it('that cannot start says why, with the exit code of the start', async () => {
    const peers = await testPeers()
    const command = peers.launch(NAME, { args: ['--detached'], sets: ['listeners.tcp.host=192.0.2.1'] })
    expect(await command.ended).toBe(1)
    expect(command.err).toMatch(
      /^the listener tcp cannot listen on 192\.0\.2\.1:0: this machine has no such address; .*\n$/,
    )
  })
})
