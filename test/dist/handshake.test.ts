import { describe, expect, it } from 'vitest'
import { decide } from '../../src/dist/accept-decision.ts'
import { Challenges, digestOf, isDigestOf } from '../../src/dist/challenge.ts'
import { expandFlags, FLAG, missingFlags, ourFlags } from '../../src/dist/flags.ts'
import { accept, handle } from '../../src/dist/handshake.ts'
import { encodeChallenge, encodeName, encodeReply, encodeStatus } from '../../src/dist/handshake-messages.ts'
import { reportFailure } from '../../src/dist/handshake-report.ts'
import type { Decision } from '../../src/dist/handshake-types.ts'
import { carry, End, optionsOf } from './handshake-support.ts'

const hex = (text: string) => Buffer.from(text.replaceAll(/\s/g, ''), 'hex')
const A = 'a@127.0.0.1'
const B = 'b@127.0.0.1'

function pair(more: { decision?: Decision; isNew?: boolean; cookies?: [string, string]; headerBytes?: 2 | 4 } = {}) {
  const [mine, theirs] = more.cookies ?? ['x', 'x']
  const { headerBytes = 2 } = more
  const a = new End(optionsOf(A, mine, 1, { headerBytes }), B)
  const b = new End(optionsOf(B, theirs, 2, { headerBytes }))
  b.decision = more.decision ?? 'ok'
  a.isNew = more.isNew ?? true
  return { a, b }
}

describe('the handshake', () => {
  it.each([2, 4] as const)('connects two nodes with one cookie, with lengths of %i bytes', (headerBytes) => {
    const { a, b } = pair({ headerBytes })
    carry(a, b)
    const flags = ourFlags(false)
    expect(a.connected?.peer).toEqual({ name: B, creation: 17, flags, isPublished: true })
    expect(b.connected?.peer).toEqual({ name: A, creation: 17, flags, isPublished: true })
  })

  it('has the bytes that Erlang has', () => {
    const own = { name: 'n1@h', creation: 0x01020304, flags: 0x1007n }
    expect(encodeName(own, 2)).toEqual(hex('0013 4e 0000000000001007 01020304 0004 6e314068'))
    expect(encodeStatus('ok', 2)).toEqual(hex('0003 73 6f6b'))
    expect(encodeChallenge(own, 0xfffffffe, 2)).toEqual(hex('0017 4e 0000000000001007 fffffffe 01020304 0004 6e314068'))
    expect(digestOf('x', 0xfffffffe).toString('hex')).toBe('982806c03b7ddb5103ea9505c4d97602')
    expect(encodeReply(1, Buffer.alloc(16, 9), 4)).toEqual(hex(`00000015 72 00000001 ${'09'.repeat(16)}`))
  })

  it('fails on both sides when the cookies differ, and the acceptor answers nothing', () => {
    const { a, b } = pair({ cookies: ['x', 'y'] })
    carry(a, b)
    expect(b.failed).toMatchObject({ reason: 'bad_cookie', peer: A })
    a.take({ tag: 'closed', reason: 'closed' })
    expect(a.failed).toMatchObject({ reason: 'closed', peer: B })
    expect(reportFailure(B, 'acceptor', b.failed!)).toEqual({
      level: 'error',
      text: `** Connection attempt from node '${A}' rejected. Invalid challenge reply. **`,
    })
    expect(reportFailure(A, 'initiator', a.failed!).text).toContain('the cookies may differ')
  })

  it('fails for the initiator when the acceptor cannot answer', () => {
    const { a } = pair()
    const impostor = { name: B, creation: 1, flags: ourFlags(false) }
    a.receive(
      Buffer.concat([encodeStatus('ok', 2), encodeChallenge(impostor, 5, 2), hex(`0011 61 ${'00'.repeat(16)}`)]),
    )
    expect(a.failed).toMatchObject({ reason: 'bad_cookie', peer: B })
  })

  it('hands on what comes right behind it', () => {
    const { a, b } = pair()
    const frames = Buffer.from('frames')
    carry(a, b, undefined, (chunk) => (b.connected === undefined ? chunk : Buffer.concat([chunk, frames])))
    expect(a.connected?.rest).toEqual(frames)
  })

  it.each(['ok', 'ok_simultaneous'] as const)('goes on after %s', (decision) => {
    const { a, b } = pair({ decision })
    carry(a, b)
    expect([a.connected, b.connected]).not.toContain(undefined)
  })

  it.each(['nok', 'not_allowed'] as const)('ends with %s', (decision) => {
    const { a, b } = pair({ decision })
    carry(a, b)
    expect(a.failed).toMatchObject({ reason: decision, peer: B })
    expect(b.failed).toMatchObject({ reason: decision === 'nok' ? 'nok' : 'refused', peer: A })
  })

  it('replaces an old connection that the peer gives up, after the check of the cookie', () => {
    const right = pair({ decision: 'alive' })
    carry(right.a, right.b)
    expect([right.a.connected, right.b.connected]).not.toContain(undefined)
    const wrong = pair({ decision: 'alive', cookies: ['x', 'y'] })
    carry(wrong.a, wrong.b)
    expect(wrong.b.failed?.reason).toBe('bad_cookie')
  })

  it('leaves an old connection that the peer holds on to', () => {
    const { a, b } = pair({ decision: 'alive', isNew: false })
    carry(a, b)
    expect(a.failed?.reason).toBe('alive')
    expect(b.failed?.reason).toBe('alive')
  })

  it('uses what both nodes have', () => {
    const a = new End(
      optionsOf(A, 'x', 1, { own: { name: A, creation: 1, flags: ourFlags(true) | FLAG.DIST_HDR_ATOM_CACHE } }),
      B,
    )
    const b = new End(optionsOf(B, 'x', 2))
    carry(a, b)
    expect(a.connected?.peer).toMatchObject({ flags: ourFlags(true), isPublished: true })
    expect(b.connected?.peer).toMatchObject({ flags: ourFlags(true), isPublished: false })
  })

  it('may have a cookie of its own for a peer', () => {
    const a = new End(optionsOf(A, 'special'), B)
    const b = new End(optionsOf(B, '', 2, { cookie: (peer) => (peer === A ? 'special' : 'x') }))
    carry(a, b)
    expect(b.connected?.peer.name).toBe(A)
  })

  it('is refused to the node that has our own name, and to those of the other kind of names', () => {
    for (const name of [B, 'b@short']) {
      const a = new End(optionsOf(name, 'x'), B)
      const b = new End(optionsOf(B, 'x'))
      carry(a, b)
      expect(a.failed?.reason).toBe('not_allowed')
      expect(b.failed?.reason).toBe('refused')
    }
  })

  it.each(Object.keys(FLAG).filter((name) => (missingFlags(0n) as readonly string[]).includes(name)))(
    'is refused without the flag %s',
    (name) => {
      const flags = ourFlags(false) & ~FLAG[name as 'MAP_TAG'] & ~FLAG.MANDATORY_25_DIGEST
      const a = new End(optionsOf(A, 'x', 1, { own: { name: A, creation: 1, flags } }), B)
      const b = new End(optionsOf(B, 'x'))
      carry(a, b)
      expect(b.failed).toMatchObject({ reason: 'missing_flags', detail: name })
      expect(a.failed?.reason).toBe('not_allowed')
      const c = new End(optionsOf(A, 'x'), B)
      c.receive(Buffer.concat([encodeStatus('ok', 2), encodeChallenge({ name: B, creation: 1, flags }, 5, 2)]))
      expect(c.failed).toMatchObject({ reason: 'missing_flags', detail: name })
    },
  )

  it('takes the digest flag of OTP 25, which is bit 26, for all mandatory ones', () => {
    expect(FLAG.MANDATORY_25_DIGEST).toBe(1n << 26n)
    expect(missingFlags(expandFlags(FLAG.MANDATORY_25_DIGEST))).toEqual([])
    expect(missingFlags(expandFlags(1n << 36n))).toHaveLength(11)
    expect(missingFlags(ourFlags(true))).toEqual([])
  })

  it.each([
    ['the old handshake', '000b 6e 0005 00000000 6e314068', 'old_handshake'],
    ['a length beyond what there may be', 'ffff', 'too_large'],
    ['an empty message', '0000', 'bad_message'],
    ['a name beyond its message', '0013 4e 0000000000001007 01020304 0005 6e314068', 'bad_name'],
    ['an empty name', '000f 4e 0000000000001007 01020304 0000', 'bad_name'],
    ['a message cut short', '0005 4e 00000000', 'bad_message'],
    ['a name without a host', '0011 4e 0000000000001007 01020304 0002 6e31', 'bad_name'],
    ['a name with a line end', '0013 4e 0000000000001007 01020304 0004 0a314068', 'bad_name'],
    ['a host that asks for a name', '0013 4e 0000000200001007 01020304 0004 6e314068', 'bad_name'],
    ['a status instead of a name', '0003 73 6f6b', 'bad_message'],
  ])('refuses %s', (_, bytes, reason) => {
    const b = new End(optionsOf(B, 'x'))
    b.receive(hex(bytes))
    expect(b.failed?.reason).toBe(reason)
  })

  it('refuses names of more than 255 bytes, and ignores what comes after a name', () => {
    const flags = ourFlags(false)
    const long = { name: `n@${'h'.repeat(254)}`, creation: 1, flags }
    const tooLong = new End(optionsOf('b@b', 'x'))
    tooLong.receive(encodeName(long, 2))
    expect(tooLong.failed?.reason).toBe('bad_name')
    const b = new End(optionsOf('b@b', 'x'))
    const name = encodeName({ ...long, name: long.name.slice(0, 255) }, 2)
    const body = Buffer.concat([name.subarray(2), Buffer.from('later versions')])
    b.receive(Buffer.concat([Buffer.of(body.length >> 8, body.length & 255), body]))
    expect(b.handshake.stage).toBe('await_reply')
  })

  it('refuses a peer that sends ahead before it has been decided on', () => {
    const handshake = accept(optionsOf(B, 'x'))
    const name = encodeName({ name: A, creation: 1, flags: ourFlags(false) }, 2)
    const [effect] = handle(handshake, { tag: 'bytes', chunk: name })
    expect(effect?.tag).toBe('decide')
    const flood = Buffer.alloc(5000, 1)
    expect(handle(handshake, { tag: 'bytes', chunk: flood })).toMatchObject([{ tag: 'failed', reason: 'too_large' }])
    expect(handle(handshake, { tag: 'decision', decision: 'ok' })).toEqual([])
  })

  it.each(['named:n1', 'what', ''])('of an initiator ends with the status %j', (status) => {
    const { a } = pair()
    a.receive(encodeStatus(status, 2))
    expect(a.failed).toMatchObject({ reason: 'bad_status', peer: B })
  })

  it('of an initiator ends when another node answers than was called', () => {
    const { a } = pair()
    const other = { name: 'c@127.0.0.1', creation: 1, flags: ourFlags(false) }
    a.receive(Buffer.concat([encodeStatus('ok', 2), encodeChallenge(other, 5, 2)]))
    expect(a.failed?.reason).toBe('wrong_name')
  })

  it('does not answer its own challenge for a stranger', () => {
    const options = optionsOf(A, 'x')
    const acceptor = new End(options)
    const initiator = new End(options, B)
    const stranger = { name: B, creation: 1, flags: ourFlags(false) }
    acceptor.receive(encodeName(stranger, 2))
    const asked = acceptor.handshake.challenge!
    initiator.receive(Buffer.concat([encodeStatus('ok', 2), encodeChallenge(stranger, asked, 2)]))
    expect(initiator.failed?.reason).toBe('reflected_challenge')
    // Nor the challenge of another attempt of its own to connect.
    const [first, second] = [new End(options, B), new End(options, B)]
    first.receive(Buffer.concat([encodeStatus('ok', 2), encodeChallenge(stranger, 77, 2)]))
    second.receive(Buffer.concat([encodeStatus('ok', 2), encodeChallenge(stranger, first.handshake.challenge!, 2)]))
    expect(second.failed?.reason).toBe('reflected_challenge')
  })

  it('gives its challenges back, however it ends', () => {
    const options = optionsOf(B, 'x')
    const ends = [{ tag: 'timeout' }, { tag: 'closed', reason: 'closed' }] as const
    for (const event of ends) {
      const b = new End(options)
      b.receive(encodeName({ name: A, creation: 1, flags: ourFlags(false) }, 2))
      expect(options.challenges.size).toBe(1)
      b.take(event)
      expect(options.challenges.size).toBe(0)
      expect(b.failed?.reason).toBe(event.tag)
    }
  })

  it('is over once and for all', () => {
    const { a, b } = pair()
    carry(a, b)
    for (const end of [a, b]) {
      end.take({ tag: 'timeout' })
      end.receive(Buffer.from('frames'))
      end.take({ tag: 'closed', reason: 'closed' })
      expect(end.ends).toBe(1)
    }
  })
})

describe('challenges', () => {
  it('are answered by the cookie alone', () => {
    expect(isDigestOf(digestOf('x', 1), 'x', 1)).toBe(true)
    expect(isDigestOf(digestOf('x', 1), 'y', 1)).toBe(false)
    expect(isDigestOf(digestOf('x', 1), 'x', 2)).toBe(false)
    expect(isDigestOf(digestOf('x', 1).subarray(1), 'x', 1)).toBe(false)
  })

  it('are not asked twice at a time, as far as the source of randomness allows', () => {
    const bytes = [1, 1, 1, 2]
    const challenges = new Challenges((buffer) => buffer.fill(bytes.shift() ?? 3))
    expect(challenges.issue()).toBe(0x01010101)
    expect(challenges.issue()).toBe(0x02020202)
  })
})

describe('of two attempts at once', () => {
  it('the one of the greater name survives, on both sides', () => {
    expect(decide(A, B, 'connecting')).toBe('ok_simultaneous')
    expect(decide(B, A, 'connecting')).toBe('nok')
  })

  it('is not the question when there is one', () => {
    expect(decide(A, B, 'none')).toBe('ok')
    expect(decide(A, B, 'accepting')).toBe('ok')
    expect(decide(A, B, 'connected')).toBe('alive')
  })
})
