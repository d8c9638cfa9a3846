import { describe, expect, it } from 'vitest'
import {
  canTalk,
  checkNodeName,
  checkShortNodeName,
  listenHostOf,
  nameInUse,
  parseNodeName,
} from '../../src/dist/node-name.ts'

const local = async () => ['127.0.0.1']
const unknown = async () => {
  throw new Error('ENOTFOUND')
}

describe('a long node name', () => {
  it.each(['n1@127.0.0.1', 'a-b_C9@::1', 'n1@host.example.org'])('may be %s', async (name) => {
    expect(await checkNodeName(name, local)).toEqual({ ok: true, name, warning: undefined })
  })

  it('needs a host', async () => {
    expect(await checkNodeName('n1', local)).toMatchObject({
      ok: false,
      problem: expect.stringContaining('n1@127.0.0.1'),
    })
  })

  it('with a host without a dot is taken with a warning when the host resolves', async () => {
    const check = await checkNodeName('n1@host1', local)
    expect(check).toMatchObject({ ok: true, warning: expect.stringContaining('have a dot') })
  })

  it('is refused when its host does not resolve', async () => {
    expect(await checkNodeName('n1@host1', unknown)).toMatchObject({
      ok: false,
      problem: expect.stringContaining('resolve'),
    })
    expect((await checkNodeName('n1@a.example', unknown)).ok).toBe(false)
    expect((await checkNodeName('n1@a.example', async () => [])).ok).toBe(false)
  })

  it.each(['@127.0.0.1', 'n 1@127.0.0.1', 'n1@', 'n1@a b', 'n1@n2@127.0.0.1', 'n.1@127.0.0.1'])(
    'may not be %s',
    async (name) => {
      expect((await checkNodeName(name, local)).ok).toBe(false)
    },
  )

  it('has at most 255 characters, all told', async () => {
    const longest = `${'n'.repeat(245)}@127.0.0.1`
    expect((await checkNodeName(longest, local)).ok).toBe(true)
    expect((await checkNodeName(`n${longest}`, local)).ok).toBe(false)
  })
})

describe('a short node name', () => {
  it('gets the first part of the name of the machine', async () => {
    expect(await checkShortNodeName('n1', 'box.example.org', local)).toEqual({
      ok: true,
      name: 'n1@box',
      warning: undefined,
    })
  })

  it('may have a host of its own, without a dot', async () => {
    expect(await checkShortNodeName('n1@other', 'box', local)).toMatchObject({ ok: true, name: 'n1@other' })
    expect(await checkShortNodeName('n1@a.b', 'box', local)).toMatchObject({
      ok: false,
      problem: expect.stringContaining('write --name n1@a.b'),
    })
    expect((await checkShortNodeName('n1@::1', 'box', local)).ok).toBe(false)
  })

  it('is refused when its host does not resolve', async () => {
    expect((await checkShortNodeName('n1', 'box', unknown)).ok).toBe(false)
  })
})

describe('node names', () => {
  it('have two parts', () => {
    expect(parseNodeName('n1@127.0.0.1')).toEqual({ short: 'n1', host: '127.0.0.1' })
    for (const name of ['', '@', 'n1', 'n1@', '@h', 'n1@h@i', 'n1@h h', 'n\n1@h', `n1@${'h'.repeat(253)}`, 'é@h']) {
      expect(parseNodeName(name)).toBeUndefined()
    }
  })

  it('of the two kinds do not talk', () => {
    expect(canTalk('n1@127.0.0.1', 'n2@host.example')).toBe(true)
    expect(canTalk('n1@::1', 'n2@127.0.0.1')).toBe(true)
    expect(canTalk('n1@box', 'n2@other')).toBe(true)
    expect(canTalk('n1@box', 'n2@127.0.0.1')).toBe(false)
    expect(canTalk('n1@127.0.0.1', 'n2@box')).toBe(false)
    expect(canTalk('n1@127.0.0.1', 'n2')).toBe(false)
  })

  it('say where to listen: a loopback address is not left', () => {
    expect(listenHostOf('n1@127.0.0.1')).toBe('127.0.0.1')
    expect(listenHostOf('n9@127.0.0.2')).toBe('127.0.0.2')
    expect(listenHostOf('n1@::1')).toBe('::1')
    expect(listenHostOf('n1@localhost')).toBe('127.0.0.1')
    expect(listenHostOf('n1@10.0.0.5')).toBe('::')
    expect(listenHostOf('n1@host.example')).toBe('::')
  })

  it('in use are refused with the words that scripts look for', () => {
    expect(nameInUse('n1@127.0.0.1')).toBe('the name n1@127.0.0.1 seems to be in use by another node')
  })
})
