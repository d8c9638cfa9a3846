import { testSchedules } from './run-schedules.ts'

testSchedules(1201, 400)
