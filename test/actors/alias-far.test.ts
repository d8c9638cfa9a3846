import { expect, onTestFinished, test } from 'vitest'
import { genServer, ok, reply } from '../../src/actors/gen-server.ts'
import { simulate } from '../../src/testing/simulation.ts'

const echo = genServer<undefined, { echo: (text: string) => string }>({
  init: () => ok(undefined),
  calls: { echo: ({ state }, text) => reply(text, state) },
})

test('a call to a server of another node, which answers with a copy of the reference, leaves no alias behind', async () => {
  const sim = simulate({ seed: 1, nodes: ['a', 'b'], copyMessages: true })
  onTestFinished(() => sim.stop())
  const [a, b] = [sim.node('a'), sim.node('b')]
  const started = echo.startLink(b, undefined, { name: 'echo' })
  await sim.run()
  await started
  const answer = echo.call(a, { name: 'echo', node: b.node.name }, 'echo', 'x')
  await sim.advance('1s')
  expect(await answer).toBe('x')
  expect(a.init.aliases?.size).toBe(0)
  expect(a.footprint().activeAliases).toBe(0)
})
