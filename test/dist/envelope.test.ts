/** The messages of the behaviours as Erlang writes them, and back; exit reasons likewise. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Pid } from '../../src/actors/pid.ts'
import { Ref } from '../../src/actors/ref.ts'
import { messageFromTerm, messageToTerm, replyFromTerm, ShapedTag } from '../../src/dist/envelope.ts'
import { Decoder } from '../../src/dist/etf-decode.ts'
import { encode } from '../../src/dist/etf-encode.ts'
import { reasonFromTerm, reasonToTerm } from '../../src/dist/exit-reason.ts'
import { atom, ImproperList, tuple } from '../../src/dist/term.ts'

const node = { name: 'a@a.sim', creation: 7 }
const pid = new Pid(node, 3, 0)
const ref = new Ref(node, 12)
const aliasTag = new ImproperList([atom('alias')], ref)

function travelled(value: unknown): unknown {
  const decoded = new Decoder({ node }).decode(encode(value))
  if (!decoded.ok) throw new Error(decoded.error.reason)
  return decoded.value
}

const there = (message: unknown): unknown => messageFromTerm(travelled(messageToTerm(message)))

describe('messages of behaviours', () => {
  it('a call is the tuple that gen_server:call sends, with an atom for a request without arguments', () => {
    const from = { pid, tag: ref, alias: ref }
    expect(messageToTerm({ tag: '$gen_call', from, request: ['add', 2] })).toEqual(
      tuple(atom('$gen_call'), tuple(pid, aliasTag), tuple(atom('add'), 2)),
    )
    expect(messageToTerm({ tag: '$gen_cast', request: ['reset'] })).toEqual(tuple(atom('$gen_cast'), atom('reset')))
    expect(there({ tag: '$gen_call', from, request: ['add', 2] })).toEqual({
      tag: '$gen_call',
      from: { pid, tag: aliasTag, alias: ref },
      request: ['add', 2],
    })
  })

  it('the tag of a foreign caller comes back untouched, whatever it is', () => {
    for (const tag of [aliasTag, ref, 17, [atom('x'), 'y'], tuple(1), new ImproperList([atom('alias'), 1], ref)]) {
      const call = messageFromTerm(tuple(atom('$gen_call'), tuple(pid, tag), atom('read'))) as {
        from: { tag: unknown; alias: unknown }
      }
      expect(call.from.alias).toBe(tag === aliasTag ? ref : undefined)
      expect(messageToTerm({ tag: '$gen_reply', to: call.from.tag, reply: 5 })).toEqual(tuple(tag, 5))
    }
  })

  it('requests that are no words are taken as they are', () => {
    for (const request of ['text', 5, tuple(1, 2), [1], Buffer.of(1)]) {
      expect(messageFromTerm(tuple(atom('$gen_cast'), request))).toEqual({ tag: '$gen_cast', request: [request] })
    }
    expect(messageFromTerm(tuple(atom('$gen_cast'), undefined))).toMatchObject({ request: ['undefined'] })
  })

  it('a reply is known by the alias in its tag, or by the alias that it was sent to', () => {
    expect(replyFromTerm(tuple(aliasTag, 1), pid)).toEqual({ alias: ref, reply: 1 })
    expect(replyFromTerm(tuple(ref, 1), ref)).toEqual({ alias: ref, reply: 1 })
    expect(replyFromTerm(tuple(ref, 1), pid)).toBeUndefined()
    expect(replyFromTerm(tuple(aliasTag, 1, 2), pid)).toBeUndefined()
  })

  it('signals that became messages arrive as what they are', () => {
    for (const message of [
      { tag: 'DOWN', ref, type: 'process', pid, reason: 'noproc' },
      { tag: 'DOWN', ref, type: 'process', pid: { name: 'x', node: 'b@b.sim' }, reason: { shutdown: 'x' } },
      { tag: 'EXIT', from: pid, reason: { error: 'bad', name: 'TypeError', stack: 'TypeError: bad\n  at x' } },
      { tag: 'timeout', ref, message: { any: 'thing' } },
      { tag: '$gen_cast', request: ['set', 'key', { value: ['of', null, undefined] }] },
    ]) {
      expect(there(message)).toEqual(message)
    }
    expect(messageToTerm({ tag: 'EXIT', from: pid, reason: 'normal' })).toEqual(
      tuple(atom('EXIT'), pid, atom('normal')),
    )
  })

  it('messages that only look like these travel whole', () => {
    for (const message of [
      { tag: 'EXIT', code: 1 },
      { tag: 'DOWN' },
      { tag: 'timeout', ref, message: 1, extra: 2 },
      { tag: 'EXIT', from: pid, reason: 'x', more: true },
    ]) {
      expect(there(message)).toEqual(message)
    }
  })

  it('those of the runtime are made of tuples alone: a map with the tag of one arrives as what nobody takes for one', () => {
    for (const tag of ['$gen_call', '$gen_cast', '$gen_reply', '$gen_event', '$gen_notify', '$supervisor', '$system']) {
      expect(messageFromTerm({ tag, request: ['x'] })).toEqual(
        new Map<string, unknown>([
          ['tag', tag],
          ['request', ['x']],
        ]),
      )
    }
  })

  it('system messages are those of sys', () => {
    const from = { pid, tag: ref, alias: ref }
    const system = (request: readonly unknown[]) => messageToTerm({ tag: '$system', from, request })
    const asked = (request: unknown) => tuple(atom('system'), tuple(pid, aliasTag), request)
    expect(system(['get_state'])).toEqual(asked(atom('get_state')))
    expect(system(['terminate', { shutdown: 'x' }])).toEqual(
      asked(tuple(atom('terminate'), tuple(atom('shutdown'), atom('x')))),
    )
    expect(system(['statistics', 'get'])).toEqual(asked(tuple(atom('debug'), tuple(atom('statistics'), atom('get')))))
    for (const request of [['get_status'], ['suspend'], ['trace', true], ['statistics', false], ['terminate', 'x']]) {
      expect(messageFromTerm(travelled(system(request)))).toMatchObject({ tag: '$system', request })
    }
    const call = messageFromTerm(asked(atom('suspend'))) as { from: { tag: unknown } }
    expect(call.from.tag).toBeInstanceOf(ShapedTag)
    expect(messageToTerm({ tag: '$gen_reply', to: call.from.tag, reply: 'ok' })).toEqual(tuple(aliasTag, atom('ok')))
  })

  it('nothing that a peer sends makes it throw', () => {
    const head = fc.constantFrom(...['$gen_call', '$gen_cast', 'system', 'DOWN', 'EXIT', 'timeout'].map(atom))
    const part = fc.oneof(
      fc.constantFrom<unknown>(pid, ref, aliasTag, atom('process'), tuple(pid, aliasTag), tuple(), undefined, null),
      fc.anything(),
    )
    fc.assert(
      fc.property(head, fc.array(part, { maxLength: 6 }), (tag, parts) => {
        expect(() => messageFromTerm(tuple(tag, ...parts))).not.toThrow()
      }),
    )
  })
})

describe('exit reasons', () => {
  const plain = fc.oneof(
    fc.constantFrom<unknown>('normal', 'noproc', 'true', 'undefined', 'Two words', '', 'x'.repeat(300), true, null),
    fc.string(),
    fc.integer(),
    fc.array(fc.string()),
    fc.record({ a: fc.string(), b: fc.integer() }),
  )
  const { reason } = fc.letrec((tie) => ({
    reason: fc.oneof(
      plain,
      fc.tuple(fc.constantFrom('shutdown', 'already_started', 'Key', 'true'), tie('reason')).map(([key, value]) => ({
        [key]: value,
      })),
      fc.record({ error: fc.string(), name: fc.string(), stack: fc.option(fc.string(), { nil: undefined }) }),
    ),
  }))

  it('arrive as they were given', () => {
    fc.assert(
      fc.property(reason, (given) => {
        expect(reasonFromTerm(travelled(reasonToTerm(given)))).toEqual(given)
      }),
    )
  })

  it('are the atoms and tuples that OTP compares with', () => {
    expect(reasonToTerm('normal')).toBe(atom('normal'))
    expect(reasonToTerm({ shutdown: 'x' })).toEqual(tuple(atom('shutdown'), atom('x')))
    expect(reasonToTerm({ error: 'm', name: 'TypeError', stack: 'a\nb' })).toEqual(
      tuple(tuple(atom('TypeError'), 'm'), ['a', 'b']),
    )
    expect(reasonFromTerm(tuple(atom('badarith'), [1]))).toEqual({ badarith: [1] })
  })

  it("Erlang's own go through a node of ours and come out the same", () => {
    for (const term of [
      atom('normal'),
      atom('Weird Atom'),
      tuple(atom('shutdown'), tuple(atom('a'), 1, 2)),
      tuple(tuple(atom('nocatch'), 1), []),
      [atom('x')],
      tuple(atom('Odd'), 1),
    ]) {
      expect(reasonToTerm(reasonFromTerm(term))).toEqual(term)
    }
  })
})
