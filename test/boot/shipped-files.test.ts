/** The files under etc/ say what the code does: they are compared with it. */
import { readFile } from 'node:fs/promises'
import { parse } from 'smol-toml'
import { describe, expect, it } from 'vitest'
import { readConfig, SETTINGS } from '../../src/boot/config-file.ts'
import { flatten, isSetting, type Settings } from '../../src/broker/settings.ts'

const AGNER_TOML = new URL('../../etc/agner.toml', import.meta.url)

const HEADER = `# Configuration of an Agner node.
#
# Every key is here with its default, commented out; take the # away to change one. The environment goes over this file
# (AGNER_LISTENERS__TCP__PORT=2883), and --set over both (--set listeners.tcp.port=2883).
#
# Times are strings ("500ms", "30s", "5m", "2h", "7d") or plain numbers of seconds.
# Sizes are strings ("64KB", "1MB", powers of 1024) or plain numbers of bytes.
`

function render(settings: Settings, path: readonly string[] = []): string {
  const keys: string[] = []
  const tables: string[] = []
  for (const [key, node] of Object.entries(settings)) {
    if (!isSetting(node)) tables.push(render(node, [...path, key]))
    else keys.push(`# ${node.doc}\n# Must be ${node.allowed}.\n# ${key} = ${value(node.written)}\n`)
  }
  const header = keys.length > 0 && path.length > 0 ? `[${path.join('.')}]\n` : ''
  return [`${header}${keys.join('\n')}`, ...tables].filter((part) => part !== '').join('\n')
}

function value(written: unknown): string {
  if (Array.isArray(written)) return `[${written.map(value).join(', ')}]`
  return typeof written === 'object' ? '{}' : JSON.stringify(written)
}

describe('etc/agner.toml', () => {
  it('lists every key with its meaning, what is allowed and the default (npx vitest run test/boot/shipped-files.test.ts -u writes it anew)', async () => {
    await expect(`${HEADER}\n${render(SETTINGS)}`).toMatchFileSnapshot(AGNER_TOML.pathname)
  })

  it('changes nothing as shipped', async () => {
    const text = await readFile(AGNER_TOML, 'utf8')
    const shipped = readConfig({ file: { name: 'etc/agner.toml', text } })
    expect(shipped).toEqual(readConfig({}))
    expect(shipped.ok).toBe(true)
  })

  it('is the defaults when every key is taken out of its comment', async () => {
    const text = (await readFile(AGNER_TOML, 'utf8')).replace(/^# (?=[a-z_0-9]+ = )/gm, '')
    const all = readConfig({ file: { name: 'etc/agner.toml', text } })
    expect(all).toEqual(readConfig({}))
    const tree = parse(text)
    for (const [path] of flatten(SETTINGS)) {
      const written = path.reduce<unknown>((table, key) => (table as Record<string, unknown>)[key], tree)
      expect(written, path.join('.')).toBeDefined()
    }
  })
})
