package measure

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Cost is what a stretch of work has cost this process.
type Cost struct {
	// CPU is the processor time of all threads, user and system.
	CPU time.Duration
	// Written are the bytes that were sent towards the disk, Passed those that
	// were handed to the operating system by write calls. Pages of mapped files
	// count in Written alone.
	Written, Passed int64
	// Allocs are the allocations on the Go heap. What C allocates is not seen.
	Allocs uint64
	// GCShare is the share of the processor time that was spent collecting
	// garbage, GCPause the longest time that it stopped the program.
	GCShare float64
	GCPause time.Duration
}

// meter is a reading of the counters under Cost.
type meter struct {
	cpu             time.Duration
	written, passed int64
	allocs          uint64
	gcCPU, allCPU   float64 // seconds by the runtime's own account, idle time left out
	pauses          []uint64
	buckets         []float64
}

func read() (meter, error) {
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		return meter{}, err
	}
	m := meter{cpu: time.Duration(usage.Utime.Nano() + usage.Stime.Nano())}
	io, err := os.ReadFile("/proc/self/io")
	if err != nil {
		return meter{}, fmt.Errorf("bytes written cannot be counted here: %w", err)
	}
	m.written, m.passed = field(io, "write_bytes:"), field(io, "wchar:")
	samples := []metrics.Sample{
		{Name: "/gc/heap/allocs:objects"}, {Name: "/cpu/classes/gc/total:cpu-seconds"},
		{Name: "/cpu/classes/gc/mark/idle:cpu-seconds"}, {Name: "/cpu/classes/total:cpu-seconds"},
		{Name: "/cpu/classes/idle:cpu-seconds"}, {Name: "/sched/pauses/total/gc:seconds"},
	}
	metrics.Read(samples)
	m.allocs = samples[0].Value.Uint64()
	markIdle := samples[2].Value.Float64()
	m.gcCPU = samples[1].Value.Float64() - markIdle
	m.allCPU = samples[3].Value.Float64() - samples[4].Value.Float64() - markIdle
	h := samples[5].Value.Float64Histogram()
	m.pauses = append(m.pauses, h.Counts...)
	m.buckets = h.Buckets
	return m, nil
}

// field returns the number after a name in a file of names and numbers; 0 if it
// is not there.
func field(text []byte, name string) int64 {
	for line := range bytes.Lines(text) {
		if rest, ok := bytes.CutPrefix(line, []byte(name)); ok {
			number, _, _ := bytes.Cut(bytes.TrimSpace(rest), []byte(" "))
			n, err := strconv.ParseInt(string(number), 10, 64)
			if err != nil {
				return 0
			}
			return n
		}
	}
	return 0
}

func (m meter) since(start meter) Cost {
	c := Cost{
		CPU: m.cpu - start.cpu, Written: m.written - start.written, Passed: m.passed - start.passed,
		Allocs: m.allocs - start.allocs,
	}
	if all := m.allCPU - start.allCPU; all > 0 {
		c.GCShare = min(1, (m.gcCPU-start.gcCPU)/all)
	}
	for i, n := range m.pauses {
		if n > start.pauses[i] {
			edge := m.buckets[i+1]
			if math.IsInf(edge, 1) {
				edge = m.buckets[i]
			}
			c.GCPause = time.Duration(edge * float64(time.Second))
		}
	}
	return c
}

// Resident returns the bytes of memory that the process holds by itself, pages
// of mapped files not counted, after garbage was collected and returned; and the
// part of it that is live on the Go heap.
func Resident() (process, heap int64, err error) {
	for range 2 { // the second frees what finalizers held
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	debug.FreeOSMemory()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, 0, err
	}
	return field(status, "RssAnon:\t") << 10, int64(m.HeapAlloc), nil
}
