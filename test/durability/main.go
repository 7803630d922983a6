// Command durability measures what keeping a store durable costs: checkpoints of
// small and of large changes, commits beside a checkpoint and beside backups, the
// memory that the image of the last checkpoint holds, and recovery as a store grows and
// with keys. It prints Markdown tables for docs/performance.md.
//
//	go run ./test/durability [-entries 1000000] [-most 3000000] [-tables NAMES] [-dir DIR]
package main

import (
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"io/fs"
	"log"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/empyrealapp/aedb-go"
)

func main() {
	entries := flag.Int("entries", 1_000_000, "entries of the store")
	most := flag.Int("most", 3_000_000, "entries of the largest store of the recoveries")
	tables := flag.String("tables", "checkpoints,commits,backups,recoveries,keys", "which tables to make")
	dir := flag.String("dir", os.TempDir(), "directory for the stores")
	flag.Parse()
	for _, table := range []struct {
		name    string
		measure func() error
	}{
		{"checkpoints", func() error { return checkpoints(*dir, *entries) }},
		{"commits", func() error { return latencies(*dir, *entries) }},
		{"backups", func() error { return backups(*dir, *entries) }},
		{"recoveries", func() error { return recoveries(*dir, *most) }},
		{"keys", func() error { return protected(*dir, *entries) }},
	} {
		if !strings.Contains(*tables, table.name) {
			continue
		}
		if err := table.measure(); err != nil {
			log.Fatal(err)
		}
	}
}

// store is an open store with entries of 100 bytes under scattered keys.
type store struct {
	dir string
	cfg aedb.Config
	db  *aedb.DB
	app *aedb.Scope
	rng *rand.Rand
}

// create makes a store whose checkpoints come when they are asked for.
func create(under string, mode aedb.Durability, keys aedb.KeyConfig) (*store, error) {
	dir, err := os.MkdirTemp(under, "durability-")
	if err != nil {
		return nil, err
	}
	s := &store{dir: dir, cfg: aedb.DefaultConfig(), rng: rand.New(rand.NewPCG(1, 2))}
	s.cfg.Durability, s.cfg.Keys = mode, keys
	s.cfg.Checkpoint.WALBytes, s.cfg.Checkpoint.Interval, s.cfg.Checkpoint.OnClose = 0, 0, false
	s.cfg.IdempotencyCommits, s.cfg.IdempotencyAge = 0, 0
	s.cfg.Reads.HistoryCommits, s.cfg.Reads.HistoryBytes = 1, 1
	if err := s.open(); err != nil {
		return nil, err
	}
	_, err = s.db.NoAuth().CreateProject(context.Background(), "p")
	return s, err
}

func (s *store) open() (err error) {
	if s.db, err = aedb.OpenNoAuth(s.dir, s.cfg); err == nil {
		s.app = s.db.NoAuth().Scope("p", "app")
	}
	return err
}

func (s *store) close() error { return s.db.Close(context.Background()) }

func (s *store) remove() {
	_ = s.close() // it is thrown away
	_ = os.RemoveAll(s.dir)
}

// key returns the n-th key: neighbours in number are none in order.
func key(n int) []byte {
	return binary.BigEndian.AppendUint64(make([]byte, 0, 16), uint64(n)*0x9e3779b97f4a7c15)
}

// value returns 92 bytes, half of which do not compress.
func (s *store) value() []byte {
	v := make([]byte, 92)
	for i := 0; i < len(v)/2; i += 8 {
		binary.LittleEndian.PutUint64(v[i:], s.rng.Uint64())
	}
	return v
}

// write puts entries by number, a thousand in a commit.
func (s *store) write(from, to, step int) error {
	for at := from; at < to; {
		var mutations []aedb.Mutation
		for ; at < to && len(mutations) < 1000; at += step {
			mutations = append(mutations, s.app.KvSet(key(at), s.value()))
		}
		if _, err := s.app.Commit(context.Background(), mutations...); err != nil {
			return err
		}
	}
	return nil
}

// checkpoint takes one and returns how long that took and the size of its file.
func (s *store) checkpoint() (time.Duration, int64, error) {
	if _, err := s.db.Flush(context.Background()); err != nil {
		return 0, 0, err
	}
	began := time.Now()
	seq, err := s.db.Checkpoint(context.Background())
	took := time.Since(began)
	if err != nil {
		return 0, 0, err
	}
	info, err := os.Stat(filepath.Join(s.dir, fmt.Sprintf("checkpoint-%016d.ckpt", seq)))
	if err != nil {
		return 0, 0, err
	}
	return took, info.Size(), nil
}

// disk returns the bytes of all files of the store.
func (s *store) disk() (n int64, err error) {
	err = filepath.WalkDir(s.dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			n += info.Size()
		}
		return err
	})
	return n, err
}

// heap returns the bytes in use on the heap.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// checkpoints measures checkpoints by the part of the entries that has changed.
func checkpoints(under string, entries int) error {
	s, err := create(under, aedb.OsBuffered, aedb.KeyConfig{})
	if err != nil {
		return err
	}
	defer s.remove()
	if err := s.write(0, entries, 1); err != nil {
		return err
	}
	fmt.Printf("Checkpoints of a store of %s entries of 100 bytes, by what was overwritten since the one before, scattered over all keys.\n\n", count(entries))
	table("changed", "time ms", "processor ms", "file MB", "of the full one", "heap B/entry before", "and after", "disk B/entry")
	full := int64(0)
	for _, step := range []int{0, 10_000, 1000, 100, 10, 4, 1} {
		changed := entries
		if step > 0 {
			changed = entries / step
			if err := s.write(0, entries, step); err != nil {
				return err
			}
		}
		before, used := heap(), processor()
		took, size, err := s.checkpoint()
		if err != nil {
			return err
		}
		used = processor() - used
		after := heap()
		if full == 0 {
			full = size
		}
		disk, err := s.disk()
		if err != nil {
			return err
		}
		per := func(n int64) string { return fmt.Sprintf("%.0f", float64(n)/float64(entries)) }
		part := fmt.Sprintf("%.4g %%", 100*float64(changed)/float64(entries))
		if step == 0 {
			part = "first"
		}
		row(part, millis(took), millis(used), fmt.Sprintf("%.2f", float64(size)/1e6), fmt.Sprintf("%.4f", float64(size)/float64(full)),
			per(before), per(after), per(disk))
	}
	fmt.Println()
	return nil
}

func table(columns ...string) {
	row(columns...)
	fmt.Println("|" + strings.Repeat(" --- |", len(columns)))
}

func row(cells ...string) { fmt.Println("| " + strings.Join(cells, " | ") + " |") }

func millis(d time.Duration) string { return fmt.Sprintf("%.1f", float64(d)/1e6) }

func count(n int) string {
	switch {
	case n >= 1_000_000:
		return fmt.Sprintf("%.3g M", float64(n)/1e6)
	case n >= 1000:
		return fmt.Sprintf("%.3g k", float64(n)/1e3)
	}
	return fmt.Sprint(n)
}
