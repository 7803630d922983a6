package cases

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"syscall"

	"github.com/empyrealapp/aedb-go/test/peers/measure"
	"github.com/empyrealapp/aedb-go/test/peers/store"
)

// sizes weigh a loaded store: the memory that its process holds beyond what it
// held before, and the disk after a clean close.
func sizes() []*Case {
	return []*Case{{
		Name: "size", Title: "memory and disk per entry", Unit: "B/entry", Lower: true, Callers: 1,
		Targets: []Target{{Against: "absolute", Ratio: 160}, {Against: "absolute", Metric: "disk B/entry", Ratio: 110}},
		Suits:   func(s store.Store) bool { return suits[store.BatchWriter](s) && suits[store.ReadStore](s) },
		Run:     runSize,
	}}
}

func runSize(e *Env) (*Result, error) {
	processBefore, heapBefore, err := measure.Resident()
	if err != nil {
		return nil, err
	}
	var s store.ReadStore
	window := e.window()
	window.Ops = 1
	f, err := window.Run([]measure.Work{func(int) (err error) {
		s, err = loaded(e, scattered)
		return err
	}})
	if err != nil {
		return nil, err
	}
	process, heap, err := measure.Resident()
	if err != nil {
		return nil, err
	}
	n := float64(e.Entries)
	r := result(f, e.Entries)
	r.Value = float64(process-processBefore) / n
	r.More["heap B/entry"] = float64(heap-heapBefore) / n
	if err := s.Close(); err != nil {
		return nil, err
	}
	disk, err := diskUsage(e.Dir)
	if err != nil {
		return nil, err
	}
	r.More["disk B/entry"] = float64(disk) / n
	return r, nil
}

// diskUsage returns the bytes of the blocks that the files of a directory have.
func diskUsage(dir string) (total int64, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			return fmt.Errorf("the blocks of %s cannot be counted here", path)
		}
		total += st.Blocks * 512
		return nil
	})
	return total, err
}
