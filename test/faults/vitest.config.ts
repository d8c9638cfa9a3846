/** Tests with a deliberate fault in the broker, which is in FAULT: put in while the code is loaded, so that no file changes. */
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'
import type { Change } from './fault.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const changes: readonly Change[] = JSON.parse(process.env.FAULT ?? '[]')

export default defineConfig({
  root: ROOT,
  plugins: [
    {
      name: 'fault',
      enforce: 'pre',
      transform(code, id) {
        const own = changes.filter(([file]) => id.split('?')[0] === `${ROOT}src/broker/${file}`)
        return own.reduce((source, [, text, instead]) => source.split(text).join(instead), code)
      },
    },
  ],
  test: {
    pool: 'forks',
    isolate: false,
    include: ['test/**/*.test.ts'],
    maxWorkers: 1,
    bail: 1,
    testTimeout: 120_000,
  },
})
