/** Schedules far from those that run with the tests, each of which has found something: what it was. */
import { test } from 'vitest'
import { Schedule } from './schedule.ts'

test.each([
  [140339, 'an origin was settled by what members had on disc, while one of them had more of it in memory'],
  [141849, 'who has joined sees rows that others know to be replaced'],
  [141949, 'who has joined sees rows that others know to be replaced'],
  [201140, 'who had been greeted before it was removed was never told'],
  [300678, 'two members that have removed each other are two clusters of one id'],
])('schedule %i: %s', (seed) => new Schedule({ seed }).run())
