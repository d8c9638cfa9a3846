/** What `npm run build` makes, used as by somebody who has installed the package. */
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { bundleAll } from '../../bundle.ts'
import { run } from '../support/erlang-epmd.ts'
import { freePort } from '../support/free-port.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))

/** Of what each subpath of the package makes or throws, whether it is of a class that another one exports. */
const USER = `
import { BadArgError, Pid, Runtime, startRuntime } from 'agner/actors'
import { startBroker } from 'agner/broker'
import { erpc } from 'agner/dist'
import { simulate } from 'agner/testing'

const errorOf = async (work) => { try { await work() } catch (error) { return error } }
console.log(
  simulate({ seed: 1 }).node('a') instanceof Runtime,
  await errorOf(() => simulate({ seed: 1 }).node('nobody')) instanceof BadArgError,
  await errorOf(() => erpc.call(startRuntime(), 'n1@127.0.0.1', 'erlang', 'node', [], 1000)) instanceof BadArgError,
  (await startBroker({ name: 'n1@127.0.0.1', listeners: { tcp: { port: 0 } } })).runtime instanceof Runtime,
)
process.exit()
`

/** Ends the node it is loaded into when that registers at epmd by the class that the package exports. */
const PLUG_IN = `
import { EpmdClient } from 'agner/dist'

EpmdClient.prototype.register = ({ name }) => {
  process.stdout.write('plug-in: ' + name)
  process.exit()
}
`

describe('the package that is built', () => {
  let app: string

  beforeAll(async () => {
    app = await mkdtemp(join(tmpdir(), 'agner-build-'))
    const modules = join(app, 'node_modules')
    await mkdir(join(modules, 'agner'), { recursive: true })
    await symlink(join(ROOT, 'package.json'), join(modules, 'agner/package.json'))
    for (const library of ['nact', 'pino']) await symlink(join(ROOT, 'node_modules', library), join(modules, library))
    await bundleAll(join(modules, 'agner/build'))
  })
  afterAll(() => rm(app, { recursive: true, force: true }))

  it('has one of each class, whichever subpath it is met by', async () => {
    await writeFile(join(app, 'user.mjs'), USER)
    expect(await run(process.execPath, [join(app, 'user.mjs')])).toEqual({
      code: 0,
      stdout: 'true true true true\n',
      stderr: '',
    })
  })

  it('gives a plug-in the classes of the node that it is loaded into', async () => {
    await writeFile(join(app, 'plug-in.mjs'), PLUG_IN)
    const node = join(app, 'node_modules/agner/build/src/boot/main.js')
    const options = [
      '--name',
      'n1@127.0.0.1',
      '--cookie',
      'x',
      '--data-dir',
      join(app, 'data'),
      '--set',
      'listeners.tcp.port=0',
    ]
    const env = { ...process.env, AGNER_EPMD_PORT: String(await freePort()) }
    const ran = await run(process.execPath, ['--import', join(app, 'plug-in.mjs'), node, ...options], env)
    expect(ran).toMatchObject({ code: 0, stdout: 'plug-in: n1' })
  })
})
