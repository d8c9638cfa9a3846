/**
 * `ping`, `stop`, `restart`: the node as a program [the script emqttd]. bin/ctl waits until what was asked has happened; see client.ts.
 */
import { type Command, type CtlContext, done, type Outcome, refused } from '../command.ts'

export const ping: Command = {
  name: 'ping',
  usages: [{ syntax: 'ping', text: 'Whether the node answers' }],
  run: (_context, words) => (words.length > 0 ? undefined : done(['pong'], { result: 'pong' })),
}

export const stop: Command = {
  name: 'stop',
  usages: [{ syntax: 'stop', text: 'Stop the node, in order' }],
  run: (context, words) => (words.length > 0 ? undefined : end(context, 'stop')),
}

export const restart: Command = {
  name: 'restart',
  usages: [{ syntax: 'restart', text: 'Stop the node in order, read its configuration again and start it' }],
  run: (context, words) => (words.length > 0 ? undefined : end(context, 'restart')),
}

function end({ program }: CtlContext, how: 'stop' | 'restart'): Outcome {
  if (program === undefined) {
    return refused(`Failed to ${how}: this broker is a part of another program`, 'part_of_another_program')
  }
  program.end(how)
  return done(['ok'], { result: 'ok' })
}
