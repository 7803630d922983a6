//go:build unix

package main

import (
	"syscall"
	"time"
)

// processor returns the processor time that the process has used, which depends
// less than the time does on what else the machine is doing.
func processor() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
