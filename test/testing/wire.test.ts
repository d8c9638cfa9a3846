import { expect, test } from 'vitest'
import { type Simulation, simulate } from '../../src/testing/simulation.ts'
import type { Wire, WireEnd } from '../../src/testing/wire.ts'

/** What one end has been told. */
class Side {
  received = ''
  /** Chunks, and those of them that end within a word. */
  chunks = 0
  cut = 0
  drains = 0
  ends = 0
  closes: string[] = []

  constructor(end: WireEnd) {
    end.start({
      onData: (chunk) => {
        this.received += chunk.toString()
        this.chunks += 1
        if (!chunk.toString().endsWith(';')) this.cut += 1
      },
      onDrain: () => {
        this.drains += 1
      },
      onEnd: () => {
        this.ends += 1
      },
      onClose: (reason) => void this.closes.push(reason),
    })
  }
}

function open(seed: number, holdsBytes?: number): { sim: Simulation; wire: Wire; near: Side; far: Side } {
  const sim = simulate({ seed })
  const wire = sim.wire(holdsBytes === undefined ? {} : { holdsBytes })
  return { sim, wire, near: new Side(wire.near), far: new Side(wire.far) }
}

const write = (end: WireEnd, text: string) => end.write([Buffer.from(text)], text.length)

test('bytes arrive in order, both ways, however they are cut', async () => {
  let [cut, joined] = [0, 0]
  for (let seed = 1; seed <= 50; seed++) {
    const { sim, wire, near, far } = open(seed)
    for (let i = 0; i < 20; i++) {
      write(wire.far, `to-near-${i};`)
      write(wire.near, `to-far-${i};`)
      await sim.advance(i % 3)
    }
    await sim.advance('1s')
    expect(near.received).toBe(Array.from({ length: 20 }, (_, i) => `to-near-${i};`).join(''))
    expect(far.received).toBe(Array.from({ length: 20 }, (_, i) => `to-far-${i};`).join(''))
    cut += near.cut
    joined += 20 + near.cut - near.chunks
  }
  expect(cut).toBeGreaterThan(0)
  expect(joined).toBeGreaterThan(0)
})

test('what the wire does not hold waits with the writer until the other side reads', async () => {
  const { sim, wire, near } = open(1, 10)
  const far = new Side(wire.far)
  wire.far.pause()
  write(wire.near, 'x'.repeat(100))
  await sim.advance('1s')
  expect([wire.near.writableLength, far.received.length, near.drains]).toEqual([90, 0, 0])
  wire.far.resume()
  await sim.advance('1s')
  expect([wire.near.writableLength, near.drains]).toEqual([0, 1])
})

test('a half that is closed lets the other side write on, and the wire closes when both are', async () => {
  for (let seed = 1; seed <= 20; seed++) {
    const { sim, wire, near, far } = open(seed)
    write(wire.far, 'last words')
    wire.far.end()
    await sim.advance('1s')
    expect([near.received, near.ends, near.closes, far.closes]).toEqual(['last words', 1, [], []])
    write(wire.near, 'answer')
    wire.near.end()
    await sim.advance('1s')
    expect([near.closes, far.closes]).toEqual([['closed'], ['closed']])
    expect(far.ends).toBe(1)
  }
})

test('an end that is destroyed is closed at once, and the other side sees an end or a reset', async () => {
  const seen = new Set<string>()
  for (let seed = 1; seed <= 20; seed++) {
    const { sim, wire, near, far } = open(seed)
    wire.far.destroy()
    await sim.advance('1s')
    expect(far.closes).toHaveLength(1)
    seen.add(`${near.ends} ${near.closes.join()}`)
    if (near.closes.length === 0) {
      wire.near.end()
      await sim.advance('1s')
    }
    expect(near.closes).toHaveLength(1)
    expect(sim.time.pending).toBe(0)
  }
  expect([...seen].sort()).toEqual(['0 ECONNRESET', '1 '])
})

test('when the wire is lost both sides are told once, and nothing under way arrives', async () => {
  const { sim, wire, near, far } = open(3)
  write(wire.far, 'lost')
  wire.lose()
  write(wire.near, 'lost too')
  await sim.advance('1s')
  expect([near.closes, far.closes]).toEqual([['ECONNRESET'], ['ECONNRESET']])
  expect([near.received, far.received]).toEqual(['', ''])
  wire.near.destroy()
  wire.far.destroy()
  await sim.advance('1s')
  expect([near.closes.length, far.closes.length]).toEqual([1, 1])
})

test('a silent wire delivers nothing and tells nobody, until it speaks', async () => {
  const { sim, wire, near } = open(4)
  wire.silence()
  write(wire.far, 'later')
  await sim.advance('1h')
  expect([near.received, near.closes]).toEqual(['', []])
  wire.speak()
  await sim.advance('1s')
  expect(near.received).toBe('later')
})
