/** The layers and the rule about time and randomness are held by the linter: each wrong file here has to be caught. */
import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const ROOT = new URL('../../', import.meta.url).pathname

const imports = (from: string) => `import { x } from '${from}'\nexport const y = x\n`
const DOWNWARD = 'Imports point downward'
const SOCKETS = 'Only listener and transport files open sockets'
const RUNTIME = 'come from the runtime'
const TIMER = 'Do not use the global variable set'

/** Path, text, and what the linter says about it; undefined when the file is right. */
const FILES: readonly (readonly [path: string, text: string, said: string | undefined])[] = [
  ['src/actors/up-broker.ts', imports('../broker/x.ts'), DOWNWARD],
  ['src/actors/up-dist.ts', imports('../dist/x.ts'), DOWNWARD],
  ['src/actors/up-testing.ts', imports('../testing/x.ts'), DOWNWARD],
  ['src/dist/up.ts', imports('../mnesia/x.ts'), DOWNWARD],
  ['src/mnesia/up.ts', imports('../broker/x.ts'), DOWNWARD],
  ['src/broker/up-boot.ts', imports('../boot/x.ts'), DOWNWARD],
  ['src/broker/handlers/up.ts', imports('../../observer/x.ts'), DOWNWARD],
  ['src/broker/up-type.ts', "import type { X } from '../ctl/x.ts'\nexport type Y = X\n", DOWNWARD],
  ['src/broker/down.ts', imports('../actors/x.ts'), undefined],
  ['src/boot/down.ts', imports('../broker/x.ts'), undefined],
  ['src/broker/index-of-layer.ts', imports('../actors/index.ts'), 'Import a file by its name'],
  ['src/actors/other.ts', imports('nact'), 'Only src/actors/nact.ts imports nact'],
  ['src/broker/other.ts', imports('nact'), 'Only src/actors/nact.ts imports nact'],
  ['src/actors/nact.ts', imports('nact'), undefined],
  ['src/broker/encode.ts', imports('mqtt-packet'), 'Only src/broker/codec.ts imports mqtt-packet'],
  ['src/broker/codec.ts', imports('mqtt-packet'), undefined],
  ['src/broker/connection.ts', imports('node:net'), SOCKETS],
  ['src/boot/net.ts', imports('node:http'), SOCKETS],
  ['src/broker/listener-tcp.ts', imports('node:net'), undefined],
  ['src/broker/listener-up.ts', imports('../boot/x.ts'), DOWNWARD],
  ['src/broker/transport-socket.ts', imports('node:tls'), undefined],
  ['src/dist/epmd-server.ts', imports('node:net'), SOCKETS],
  ['src/dist/transport-tcp.ts', imports('node:net'), undefined],
  ['src/dist/transport-tls.ts', imports('../broker/x.ts'), DOWNWARD],
  ['src/broker/now.ts', 'export const y = () => Date.now()\n', RUNTIME],
  ['src/broker/now-passed-on.ts', 'export const clock = { now: Date.now }\n', RUNTIME],
  ['src/broker/date.ts', 'export const y = new Date()\n', RUNTIME],
  ['src/broker/date-of.ts', 'export const y = (ms: number) => new Date(ms)\n', undefined],
  ['src/broker/random.ts', 'export const y = () => Math.random()\n', RUNTIME],
  ['src/actors/monotonic.ts', 'export const y = () => performance.now()\n', RUNTIME],
  ['src/actors/hrtime.ts', 'export const y = () => process.hrtime.bigint()\n', RUNTIME],
  ['src/broker/timeout.ts', 'export const y = () => setTimeout(() => {}, 5)\n', TIMER],
  ['src/testing/interval.ts', 'export const y = () => setInterval(() => {}, 5)\n', TIMER],
  ['src/actors/system.ts', 'export const y = [Date.now(), Math.random(), setTimeout(() => {}, 5)]\n', undefined],
  ['test/broker/timeout.ts', 'export const y = [Date.now(), setTimeout(() => {}, 5)]\n', undefined],
  ['src/broker/floating.ts', 'const x = async () => 1\nexport const y = () => {\n  x()\n}\n', 'floating'],
  ['src/broker/cycle-a.ts', imports('./cycle-b.ts'), 'cycle'],
  ['src/broker/cycle-b.ts', "import { y } from './cycle-a.ts'\nexport const x = () => y\n", 'cycle'],
]

let folder: string
const found = new Map<string, string>()

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'agner-lint-'))
  for (const name of ['biome.json', 'lint']) await cp(join(ROOT, name), join(folder, name), { recursive: true })
  for (const [path, text] of FILES) {
    await mkdir(dirname(join(folder, path)), { recursive: true })
    await writeFile(join(folder, path), text)
  }
  const report = await lint()
  const { diagnostics } = JSON.parse(report) as { diagnostics: unknown[] }
  for (const [path] of FILES) {
    const own = diagnostics.filter((diagnostic) => JSON.stringify(diagnostic).includes(`"${path}"`))
    found.set(path, own.map((diagnostic) => JSON.stringify(diagnostic)).join('\n'))
  }
})
afterAll(() => rm(folder, { recursive: true }))

function lint(): Promise<string> {
  const biome = join(ROOT, 'node_modules/.bin/biome')
  const args = ['lint', '--vcs-enabled=false', '--reporter=json', '--max-diagnostics=none', '.']
  return new Promise((resolve, reject) => {
    execFile(biome, args, { cwd: folder, maxBuffer: 2 ** 26 }, (_, stdout, stderr) => {
      const start = stdout.indexOf('{')
      if (start < 0) reject(new Error(stderr))
      else resolve(stdout.slice(start))
    })
  })
}

describe('the linter', () => {
  it.each(FILES.filter(([, , said]) => said !== undefined))('refuses %s', (path, _, said) => {
    expect(found.get(path)).toContain(said)
  })

  it.each(FILES.filter(([, , said]) => said === undefined))('takes %s', (path) => {
    expect(found.get(path)).toBe('')
  })
})
