/** TLS between a node of ours and a real Erlang node, each verifying the other. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { tlsTransport } from '../../src/dist/transport-tls.ts'
import { epmdServer } from '../dist/epmd-support.ts'
import { authority } from '../support/certificates.ts'
import { startErlang } from '../support/erlang.ts'
import { eventually } from '../support/eventually.ts'
import { probe } from './probe-node.ts'

describe('over TLS, a node of ours and one of Erlang', () => {
  it('connect in both directions, each verifying the other', async () => {
    const ca = await authority()
    // Erlang looks for the host of a node among the DNS names of its certificate even when it is an address.
    const host = 'IP:127.0.0.1,DNS:127.0.0.1'
    const [certificate, theirs] = [await ca.sign('ours', host), await ca.sign('erl', host)]
    const { files } = theirs
    const verified = `{verify,verify_peer},{certfile,"${files.cert}"},{keyfile,"${files.key}"},{cacertfile,"${files.ca}"}`
    const optfile = join(files.cert, '..', 'dist.conf')
    await writeFile(optfile, `[{server,[${verified},{fail_if_no_peer_cert,true}]},{client,[${verified}]}].\n`)
    const { port: epmdPort } = await epmdServer()
    const args = ['-proto_dist', 'inet_tls', '-ssl_dist_optfile', optfile]
    const ours = await probe({ name: 'ours@127.0.0.1', epmdPort, transport: tlsTransport(certificate) })
    const erl = await startErlang({ name: 'erl1@127.0.0.1', epmdPort, args })
    expect(await erl.eval("net_kernel:connect_node('ours@127.0.0.1').")).toBe('true')
    expect(ours.links.get('erl1@127.0.0.1')?.peer.isPublished).toBe(true)
    ours.links.get('erl1@127.0.0.1')!.stream.destroy()
    await eventually(async () => (await erl.eval('nodes().')) === '[]')
    expect(await ours.dial('erl1@127.0.0.1')).toBe('connected')
    expect(await erl.eval('nodes().')).toBe("['ours@127.0.0.1']")
    await eventually(() => ours.links.get('erl1@127.0.0.1')!.frames.length > 0)
  })
})
