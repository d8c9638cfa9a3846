import { testSchedules } from './run-schedules.ts'

testSchedules(801, 400)
