package main

import (
	"bytes"
	"fmt"
	"runtime"
	"time"

	"github.com/empyrealapp/aedb-go"
)

// ways are the columns of tables of recoveries.
var ways = []string{"log: ms", "processor ms", "entries/s", "checkpoint: ms", "processor ms", "entries/s", "chain: ms", "processor ms", "entries/s"}

// recoveries measures how long opening takes, by what the store is read from.
func recoveries(under string, most int) error {
	fmt.Print("Opening a store, by its entries and what they are read from. A chain is a full checkpoint and deltas on it with 40 % of its entries.\n\n")
	table(append([]string{"entries"}, ways...)...)
	for _, entries := range []int{10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000} {
		if entries > most {
			break
		}
		if err := recoveriesOf(under, count(entries), entries, aedb.KeyConfig{}); err != nil {
			return err
		}
	}
	fmt.Println()
	return nil
}

// protected measures the same of a store without keys and with them.
func protected(under string, entries int) error {
	fmt.Printf("Opening a store of %s entries without keys, with an authenticated log, and encrypted.\n\n", count(entries))
	table(append([]string{"keys"}, ways...)...)
	ring := []aedb.Key{{ID: "k", Secret: bytes.Repeat([]byte("secret"), 8)}}
	for _, with := range []struct {
		name string
		keys aedb.KeyConfig
	}{{"none", aedb.KeyConfig{}}, {"authenticated", aedb.KeyConfig{Ring: ring}}, {"encrypted", aedb.KeyConfig{Ring: ring, Encrypt: true}}} {
		if err := recoveriesOf(under, with.name, entries, with.keys); err != nil {
			return err
		}
	}
	fmt.Println()
	return nil
}

// recoveriesOf prints the row of one store.
func recoveriesOf(under, name string, entries int, keys aedb.KeyConfig) error {
	s, err := create(under, aedb.OsBuffered, keys)
	if err != nil {
		return err
	}
	defer s.remove()
	if err := s.write(0, entries, 1); err != nil {
		return err
	}
	deltas := func() error {
		for range 8 {
			if err := s.write(0, entries, 20); err != nil {
				return err
			}
			if _, _, err := s.checkpoint(); err != nil {
				return err
			}
		}
		return nil
	}
	once := func() error { _, _, err := s.checkpoint(); return err }
	cells := []string{name}
	for _, prepare := range []func() error{func() error { return nil }, once, deltas} {
		if err := prepare(); err != nil {
			return err
		}
		took, used, err := s.reopen()
		if err != nil {
			return err
		}
		cells = append(cells, millis(took), millis(used), count(int(float64(entries)/took.Seconds())))
	}
	row(cells...)
	return nil
}

// reopen closes and opens the store three times and returns what the fastest
// recovery took, and the least processor time of an opening.
func (s *store) reopen() (best, used time.Duration, err error) {
	for i := range 3 {
		if err := s.close(); err != nil {
			return 0, 0, err
		}
		runtime.GC()
		before := processor()
		if err := s.open(); err != nil {
			return 0, 0, err
		}
		spent := processor() - before
		took := time.Duration(0)
		for _, d := range s.db.Recovery().Durations {
			took += d
		}
		if i == 0 || took < best {
			best = took
		}
		if i == 0 || spent < used {
			used = spent
		}
	}
	return best, used, nil
}
