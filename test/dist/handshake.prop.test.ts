/** Two machines against each other and against strangers, whatever the network does. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decide } from '../../src/dist/accept-decision.ts'
import { ourFlags } from '../../src/dist/flags.ts'
import { encodeAck, encodeChallenge, encodeName, encodeReply, encodeStatus } from '../../src/dist/handshake-messages.ts'
import type { Decision, HandshakeEvent } from '../../src/dist/handshake-types.ts'
import { carry, End, optionsOf } from './handshake-support.ts'

const A = 'a@127.0.0.1'
const B = 'b@127.0.0.1'

const cookie = fc.constantFrom('x', 'y', 'x1')
const decision = fc.constantFrom<Decision>('ok', 'ok_simultaneous', 'nok', 'not_allowed', 'alive')
const cuts = fc.infiniteStream(fc.integer({ min: 1, max: 40 }))

describe('two nodes', () => {
  it('connect, both of them, exactly when the cookies are equal and the acceptor agrees', () => {
    fc.assert(
      fc.property(
        cookie,
        cookie,
        decision,
        fc.boolean(),
        cuts,
        fc.nat(),
        (mine, theirs, decided, isNew, sizes, seed) => {
          const a = new End(optionsOf(A, mine, seed), B)
          const b = new End(optionsOf(B, theirs, seed + 1))
          b.decision = decided
          a.isNew = isNew
          carry(a, b, () => sizes.next().value as number)
          for (const end of [a, b]) if (!end.hasEnded) end.take({ tag: 'closed', reason: 'closed' })
          const agrees = decided === 'ok' || decided === 'ok_simultaneous' || (decided === 'alive' && isNew)
          const shouldConnect = mine === theirs && agrees
          expect(a.connected !== undefined).toBe(shouldConnect)
          expect(b.connected !== undefined).toBe(shouldConnect)
          expect([a.ends, b.ends]).toEqual([1, 1])
          expect(a.handshake.options.challenges.size + b.handshake.options.challenges.size).toBe(0)
        },
      ),
    )
  })

  it('that connect to each other at once end with one connection, the same for both', () => {
    fc.assert(
      fc.property(fc.boolean(), fc.array(fc.boolean(), { maxLength: 30 }), fc.nat(), (swap, order, seed) => {
        const [own, peer] = swap ? [B, A] : [A, B]
        const [optionsA, optionsB] = [optionsOf(own, 'x', seed), optionsOf(peer, 'x', seed + 1)]
        const [out, accepted] = [new End(optionsA, peer), new End(optionsB)]
        const [out2, accepted2] = [new End(optionsB, own), new End(optionsA)]
        accepted.decision = decide(peer, own, 'connecting')
        accepted2.decision = decide(own, peer, 'connecting')
        for (const first of order) {
          const [left, right] = first ? [out, accepted] : [out2, accepted2]
          for (const [from, to] of [
            [left, right],
            [right, left],
          ] as const) {
            const bytes = from.sent.shift()
            if (bytes !== undefined && !to.hasEnded) to.receive(bytes)
          }
        }
        carry(out, accepted)
        carry(out2, accepted2)
        const up = [out, accepted, out2, accepted2].map((end) => end.connected !== undefined)
        // The attempt that the greater name began.
        expect(up).toEqual(own > peer ? [true, true, false, false] : [false, false, true, true])
      }),
    )
  })

  it('of which one has another cookie never connect, whatever happens to the bytes', () => {
    const spoiling = fc.array(fc.record({ at: fc.nat(60), xor: fc.integer({ min: 1, max: 255 }) }), { maxLength: 4 })
    fc.assert(
      fc.property(spoiling, cuts, fc.nat(), (spoils, sizes, seed) => {
        const a = new End(optionsOf(A, 'x', seed), B)
        const b = new End(optionsOf(B, 'y', seed + 1))
        const left = [...spoils]
        carry(
          a,
          b,
          () => sizes.next().value as number,
          (chunk) => {
            const spoil = left.shift()
            if (spoil === undefined) return chunk
            const copy = Buffer.from(chunk)
            copy[spoil.at % copy.length]! ^= spoil.xor
            return copy
          },
        )
        for (const end of [a, b]) {
          end.take({ tag: 'timeout' })
          expect(end.connected).toBeUndefined()
          expect(end.ends).toBe(1)
          expect(end.handshake.options.challenges.size).toBe(0)
        }
      }),
      { numRuns: 300 },
    )
  })
})

/** What a stranger may send: well-formed messages, broken ones and anything. */
const stranger = { name: B, creation: 1, flags: ourFlags(false) }
const digest = fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => Buffer.from(bytes))
const u32 = fc.nat({ max: 0xffffffff })
const message = fc.oneof(
  fc.constant(encodeName(stranger, 2)),
  fc.constantFrom('ok', 'ok_simultaneous', 'alive', 'true', 'false', 'named:x@y').map((word) => encodeStatus(word, 2)),
  u32.map((challenge) => encodeChallenge(stranger, challenge, 2)),
  fc.tuple(u32, digest).map(([challenge, bytes]) => encodeReply(challenge, bytes, 2)),
  digest.map((bytes) => encodeAck(bytes, 2)),
  fc.uint8Array({ maxLength: 50 }).map((bytes) => Buffer.from(bytes)),
)
const event: fc.Arbitrary<HandshakeEvent> = fc.oneof(
  { weight: 8, arbitrary: message.map((chunk): HandshakeEvent => ({ tag: 'bytes', chunk })) },
  { weight: 1, arbitrary: decision.map((word): HandshakeEvent => ({ tag: 'decision', decision: word })) },
  { weight: 1, arbitrary: fc.boolean().map((isNew): HandshakeEvent => ({ tag: 'is_new', isNew })) },
)

describe('a stranger without the cookie', () => {
  it.each(['initiator', 'acceptor'] as const)('gets past no %s, and ends with it in time', (role) => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 12 }), fc.nat(), (events, seed) => {
        const us = new End(optionsOf(A, 'x', seed), role === 'initiator' ? B : undefined)
        for (const one of events) {
          us.take(one)
          // What is held of what it has sent.
          expect(us.handshake.reader.rest.length).toBeLessThanOrEqual(us.hasEnded ? 5000 : 4098)
        }
        us.take({ tag: 'timeout' })
        expect(us.connected).toBeUndefined()
        expect(us.ends).toBe(1)
        expect(us.handshake.options.challenges.size).toBe(0)
      }),
      { numRuns: 500 },
    )
  })

  it('cannot have its challenges answered by the node that asked them, by any relay', () => {
    // The stranger stands between an acceptor and an initiator of the same node and carries the bytes, with the name changed.
    fc.assert(
      fc.property(fc.nat(), (seed) => {
        const options = optionsOf(A, 'x', seed)
        const acceptor = new End(options)
        const initiator = new End(options, B)
        initiator.sent.splice(0)
        acceptor.receive(encodeName(stranger, 2))
        const [status] = acceptor.sent.splice(0)
        initiator.receive(status!)
        initiator.receive(encodeChallenge(stranger, acceptor.handshake.challenge!, 2))
        expect(initiator.sent).toEqual([])
        for (const end of [acceptor, initiator]) {
          end.take({ tag: 'timeout' })
          expect(end.connected).toBeUndefined()
        }
      }),
    )
  })
})
