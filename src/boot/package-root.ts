/** Where the package lies: its package.json is above src/ in the sources, and above build/ in the package. */
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** The folder with our package.json, at `from` or above. */
export function packageRoot(from: string): string {
  return existsSync(join(from, 'package.json')) ? from : packageRoot(dirname(from))
}
