/** Programs that tests run as processes of their own: those of this project, and those that only tests have. */
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))

/** Options of Node for all of them. */
export const runtimeOptions: readonly string[] =
  process.env.CI === 'true' ? [] : ['--import', import.meta.resolve('tsx')]

/**
 * The file of a program, by its path in this project without its ending, such as `src/boot/main`. Where tests run in a clean clone all of them
 * have just been built (bundle.ts), and built code starts in half the time.
 */
export function programFile(path: string): string {
  return process.env.CI === 'true' ? join(ROOT, 'build', `${path}.js`) : join(ROOT, `${path}.ts`)
}

/** The arguments of Node for a program. */
export function program(path: string): readonly string[] {
  return [...runtimeOptions, programFile(path)]
}
