/** Control messages: what is sent is read again, in every form that a peer may choose; what is none is refused, not thrown at. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Pid } from '../../src/actors/pid.ts'
import { Ref } from '../../src/actors/ref.ts'
import { type ControlMessage, controlFromTerms, controlToTerms } from '../../src/dist/control.ts'
import { Decoder } from '../../src/dist/etf-decode.ts'
import { encode } from '../../src/dist/etf-encode.ts'
import { atom, Tuple, tuple } from '../../src/dist/term.ts'

const node = { name: 'a@a.sim', creation: 7 }
const peer = { name: 'b@b.sim', creation: 8 }

const pid = fc
  .tuple(fc.constantFrom(node, peer), fc.nat({ max: 1000 }), fc.nat({ max: 10 }))
  .map(([owner, id, serial]) => new Pid(owner, id, serial))
const ref = fc.tuple(fc.constantFrom(node, peer), fc.nat()).map(([owner, id]) => new Ref(owner, [id, 1, 2]))
const name = fc.constantFrom('net_kernel', 'rex', 'a name')
const term = fc.oneof(fc.integer(), fc.constantFrom(atom('normal'), tuple(1, 'two'), undefined, null, [1]))
const target = fc.oneof(pid, name)
const id = fc.oneof(fc.integer({ min: 1 }), fc.bigInt({ min: 2n ** 53n, max: 2n ** 64n - 1n }))

const message: fc.Arbitrary<ControlMessage> = fc.oneof(
  fc.record({ op: fc.constant('send' as const), from: fc.constant(undefined), to: pid, message: term }),
  fc.record({ op: fc.constant('send_name' as const), from: pid, to: name, message: term }),
  fc.record({ op: fc.constant('send_alias' as const), from: pid, to: ref, message: term }),
  fc.record({ op: fc.constantFrom('link' as const, 'unlink' as const, 'group_leader' as const), from: pid, to: pid }),
  fc.record({ op: fc.constantFrom('unlink_id' as const, 'unlink_id_ack' as const), id, from: pid, to: pid }),
  fc.record({ op: fc.constantFrom('exit_linked' as const, 'exit' as const), from: pid, to: pid, reason: term }),
  fc.record({ op: fc.constantFrom('monitor' as const, 'demonitor' as const), from: pid, to: target, ref }),
  fc.record({ op: fc.constant('down' as const), from: target, to: pid, ref, reason: term }),
  fc.record({
    op: fc.constant('spawn_request' as const),
    ref,
    from: pid,
    groupLeader: pid,
    module: name,
    function: name,
    args: fc.array(term),
    link: fc.boolean(),
    monitor: fc.boolean(),
  }),
  fc.record({
    op: fc.constant('spawn_reply' as const),
    ref,
    to: pid,
    linked: fc.boolean(),
    monitored: fc.boolean(),
    result: target,
  }),
)

/** As it arrives at the other end. */
function travelled(value: unknown): unknown {
  const decoded = new Decoder({ node: { name: 'c@c.sim', creation: 1 } }).decode(encode(value))
  if (!decoded.ok) throw new Error(decoded.error.reason)
  return decoded.value
}

const TRACE_TOKEN = tuple(1, 2, 3)

/** The same signal with a trace token, and with its reason beside the control tuple; undefined where there is no such form. */
function otherForms(control: Tuple, payload: unknown): { control: Tuple; hasPayload: boolean; payload: unknown }[] {
  const [op, ...fields] = control.elements
  const form = (number: number, elements: readonly unknown[], other: unknown = payload, hasPayload = true) => {
    return { control: tuple(number, ...elements), hasPayload, payload: other }
  }
  const last = fields.at(-1)
  const others = fields.slice(0, -1)
  switch (op) {
    case 2:
      return [form(12, [...fields, TRACE_TOKEN])]
    case 3:
      return [
        form(13, [...others, TRACE_TOKEN, last], undefined, false),
        form(24, others, last),
        form(25, [...others, TRACE_TOKEN], last),
      ]
    case 6:
      return [form(16, [...fields, TRACE_TOKEN])]
    case 8:
      return [
        form(18, [...others, TRACE_TOKEN, last], undefined, false),
        form(26, others, last),
        form(27, [...others, TRACE_TOKEN], last),
      ]
    case 21:
      return [form(28, others, last)]
    case 29:
      return [form(30, [...fields, TRACE_TOKEN])]
    case 31:
      return [form(32, [...fields, TRACE_TOKEN], undefined, false)]
    case 33:
      return [form(34, [...fields, TRACE_TOKEN])]
    default:
      return []
  }
}

describe('control messages', () => {
  it('what is sent is read again', () => {
    fc.assert(
      fc.property(message, (sent) => {
        const { control, hasPayload, payload } = controlToTerms(sent)
        expect(controlFromTerms(travelled(control), hasPayload, travelled(payload))).toEqual(sent)
      }),
    )
  })

  it('every other form of a signal is read as the plain one', () => {
    fc.assert(
      fc.property(message, (sent) => {
        const { control, payload } = controlToTerms(sent)
        for (const form of otherForms(control, payload)) {
          expect(controlFromTerms(form.control, form.hasPayload, form.payload)).toEqual(sent)
        }
      }),
    )
  })

  it('a send with its sender is a send', () => {
    const [from, to] = [new Pid(peer, 1, 0), new Pid(node, 2, 0)]
    const expected = { op: 'send', from, to, message: 'hi' }
    expect(controlFromTerms(tuple(22, from, to), true, 'hi')).toEqual(expected)
    expect(controlFromTerms(tuple(23, from, to, TRACE_TOKEN), true, 'hi')).toEqual(expected)
  })

  it('anything else is refused without a throw', () => {
    const field = fc.oneof(term, pid, ref, fc.anything())
    const fields = fc.tuple(fc.oneof(fc.integer({ min: 0, max: 40 }), fc.anything()), fc.array(field, { maxLength: 7 }))
    const control = fc.oneof(
      fields.map(([op, others]) => new Tuple([op, ...others])),
      fc.anything(),
      message.chain((sent) => {
        const { elements } = controlToTerms(sent).control
        return fc
          .tuple(fc.nat({ max: elements.length - 1 }), field)
          .map(([at, value]) => new Tuple(elements.map((element, i) => (i === at ? value : element))))
      }),
    )
    fc.assert(
      fc.property(control, fc.boolean(), field, (any, hasPayload, payload) => {
        const read = controlFromTerms(any, hasPayload, payload)
        if (read === undefined || read.op === 'none') return
        if ('from' in read && read.from !== undefined && read.op !== 'down') expect(read.from).toBeInstanceOf(Pid)
        if ('ref' in read) expect(read.ref).toBeInstanceOf(Ref)
      }),
      { numRuns: 2000 },
    )
  })
})
