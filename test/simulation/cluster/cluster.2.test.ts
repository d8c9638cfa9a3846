import { testSchedules } from './run-schedules.ts'

testSchedules(151, 150)
