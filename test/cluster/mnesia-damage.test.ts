/** Real nodes whose files are damaged while they are down, and whose disc refuses while they run. */
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { type Peer, testPeers } from '../support/peer.ts'
import { program } from '../support/programs.ts'

const [N1, N2] = ['n1@127.0.0.1', 'n2@127.0.0.1']
const PROGRAM = program('test/support/table-node')

async function ask<T>(peer: Peer, what: string, ...args: string[]): Promise<T> {
  return JSON.parse(String(await peer.rpc('tables', 'call', [what, JSON.stringify(args)]))) as T
}

it('a file that is damaged is named, set aside, and what it had comes from the other member', async () => {
  const peers = await testPeers({ cuttable: true })
  const start = (name: string) => peers.start(name, { program: PROGRAM })
  const n1 = await start(N1)
  let n2 = await start(N2)
  expect(await ask(n2, 'join', N1)).toMatchObject({ ok: true })
  for (let i = 0; i < 10; i++) await ask(n1, 'fill', `topic${i}`, '200')
  await eventually(async () => expect(await ask(n2, 'size')).toBe(2000))
  await ask(n2, 'write', 'flushed', 'x')
  await n2.kill()

  const directory = join(peers.folder, 'data', N2, 'tables')
  const files = readdirSync(directory).filter((name) => /\.(log|rows)$/.test(name))
  const [file] = files.sort((a, b) => statSync(join(directory, b)).size - statSync(join(directory, a)).size)
  const bytes = readFileSync(join(directory, file!))
  bytes.fill(0, bytes.length >> 2, bytes.length >> 1)
  writeFileSync(join(directory, file!), bytes)

  n2 = await start(N2)
  expect(await ask(n2, 'size')).toBe(2001)
  expect((await n2.logged('the file as it was found is')).msg).toContain(`${file}.damaged-`)
  expect(readdirSync(directory).some((name) => name.startsWith(`${file}.damaged-`))).toBe(true)
  await n2.logged('what the disc had lost has come from other members')
  await eventually(async () => expect(await ask(n2, 'alarms')).not.toHaveProperty('store_damaged'))
})

it('a disc that takes no more is an alarm and a line of the log, and nothing is lost when it takes more again', async () => {
  const peers = await testPeers({ cuttable: true })
  const start = () => peers.start(N1, { program: PROGRAM })
  const limit = (node: Peer, bytes: string) =>
    execFileSync('prlimit', ['--pid', String(node.child.pid), `--fsize=${bytes}`])
  let node = await start()
  await ask(node, 'fill', 'before', '100')
  limit(node, '4096:unlimited')
  await expect(ask(node, 'fill', 'while', '100')).rejects.toThrow('no room left')
  expect(await ask<Record<string, string>>(node, 'alarms')).toMatchObject({
    disc_refuses: expect.stringContaining('kept in memory'),
  })
  await node.logged('no room left')
  // It goes on, and serves what it could not bring to the disc.
  expect(await ask(node, 'size')).toBe(200)
  limit(node, 'unlimited:unlimited')
  await eventually(async () => expect(await ask(node, 'alarms')).toEqual({}))
  await ask(node, 'write', 'after', 'x')
  await node.kill()
  node = await start()
  expect(await ask(node, 'size')).toBe(201)
})
