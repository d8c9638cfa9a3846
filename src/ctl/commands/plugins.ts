/** `plugins`: programs add to a broker with hooks and commands, in their own code; there is nothing to load into one that runs. */
import { type Command, done, refused } from '../command.ts'

export const plugins: Command = {
  name: 'plugins',
  usages: [
    { syntax: 'plugins list', text: 'Loaded plugins: none, this version has no plugins' },
    { syntax: 'plugins load <Plugin>', text: 'Load a plugin: refused, there is none' },
    { syntax: 'plugins unload <Plugin>', text: 'Unload a plugin: refused, none is loaded' },
  ],
  run(_context, [action, name, ...more]) {
    if (action === 'list' && name === undefined) return done([], [])
    if (name === undefined || more.length > 0) return undefined
    if (action === 'load') return refused('load plugin error: not_found', 'not_found')
    return action === 'unload' ? refused('unload plugin error: not_started', 'not_started') : undefined
  },
}
