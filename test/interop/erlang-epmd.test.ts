/** Our epmd for Erlang's nodes and tools, and Erlang's epmd for ours. */
import { describe, expect, it } from 'vitest'
import type { RegistrationEvent } from '../../src/dist/epmd-client.ts'
import { epmdClient, epmdServer, registered } from '../dist/epmd-support.ts'
import { startErlang } from '../support/erlang.ts'
import { killed, run, startErlangEpmd } from '../support/erlang-epmd.ts'
import { eventually } from '../support/eventually.ts'
import { freePort } from '../support/free-port.ts'

describe('our epmd', () => {
  it("lets Erlang's nodes find each other, and shows them by Erlang's own tool", async () => {
    const server = await epmdServer()
    const [n1, n2] = await Promise.all(
      ['n1@127.0.0.1', 'n2@127.0.0.1'].map((name) => startErlang({ name, epmdPort: server.port })),
    )
    expect(await n1!.eval("net_adm:ping('n2@127.0.0.1').")).toBe('pong')
    expect(await n2!.eval('nodes().')).toBe("['n1@127.0.0.1']")
    expect(await n1!.eval("net_adm:ping('n3@127.0.0.1').")).toBe('pang')
    const ports = new Map(server.nodes().map(({ name, port }) => [name, port]))
    const { stdout } = await run('epmd', ['-port', String(server.port), '-names'])
    const lines = server.nodes().map(({ name, port }) => `name ${name} at port ${port}\n`)
    expect(stdout).toBe(`epmd: up and running on port ${server.port} with data:\n${lines.join('')}`)
    const names = await n1!.eval('lists:sort(element(2, net_adm:names("127.0.0.1"))).')
    expect(names).toBe(`[{"n1",${ports.get('n1')}},{"n2",${ports.get('n2')}}]`)
    expect((await run('epmd', ['-port', String(server.port), '-kill'])).code).toBe(1)
    await n2!.kill()
    await eventually(() => server.nodes().length === 1)
  })

  it('refuses a second Erlang node of a name, as Erlang expects it', async () => {
    const { port } = await epmdServer()
    await startErlang({ name: 'n1@127.0.0.1', epmdPort: port })
    await expect(startErlang({ name: 'n1@127.0.0.1', epmdPort: port })).rejects.toThrow(
      'the name n1@127.0.0.1 seems to be in use by another Erlang node',
    )
  })

  it('gives an Erlang node the creation that its pids then carry, another at each start', async () => {
    const { port } = await epmdServer()
    const first = await startErlang({ name: 'n1@127.0.0.1', epmdPort: port })
    const one = await first.eval('erlang:system_info(creation).')
    await first.kill()
    const second = await eventually(() => startErlang({ name: 'n1@127.0.0.1', epmdPort: port }))
    expect(Number(await second.eval('erlang:system_info(creation).'))).toBe(Number(one) + 1)
  })

  it('has an Erlang node register again after it was started anew', async () => {
    const port = await freePort()
    const first = await epmdServer({ port })
    await startErlang({ name: 'n1@127.0.0.1', epmdPort: port })
    await first.close()
    const second = await epmdServer({ port })
    await eventually(() => second.nodes().some(({ name }) => name === 'n1'))
  })
})

describe("Erlang's epmd", () => {
  it('registers a node of ours and shows it, and refuses the name to others', async () => {
    const port = await freePort()
    await startErlangEpmd(port)
    const registration = await registered(epmdClient(port), 'ours', { port: 4711 })
    expect(registration.creation).toBeGreaterThan(0)
    const { stdout } = await run('epmd', ['-port', String(port), '-names'])
    expect(stdout).toContain('name ours at port 4711\n')
    expect(await epmdClient(port).register({ name: 'ours', port: 1, nodeType: 77 })).toMatchObject({
      ok: false,
      reason: 'name_in_use',
    })
    await expect(startErlang({ name: 'ours@127.0.0.1', epmdPort: port })).rejects.toThrow('in use by another Erlang')
    expect(await epmdClient(port).portPlease('ours', '127.0.0.1')).toMatchObject({
      ok: true,
      node: { port: 4711, nodeType: 77, highest: 6, lowest: 5 },
    })
    expect(await epmdClient(port).portPlease('none', '127.0.0.1')).toMatchObject({ reason: 'noport' })
    registration.close()
    await eventually(async () => !(await run('epmd', ['-port', String(port), '-names'])).stdout.includes('ours'))
  })

  it('gets our registration again after it was started anew', async () => {
    const port = await freePort()
    const first = await startErlangEpmd(port)
    const events: RegistrationEvent[] = []
    const registration = await registered(epmdClient(port), 'ours', { onEvent: (event) => events.push(event) })
    await killed(first)
    await eventually(() => events.some(({ tag }) => tag === 'lost'))
    await startErlangEpmd(port)
    await eventually(() => registration.isRegistered)
    const { stdout } = await run('epmd', ['-port', String(port), '-names'])
    expect(stdout).toContain('name ours at port 4711\n')
    expect(events.at(-1)?.tag).toBe('restored')
  })
})
