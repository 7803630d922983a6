package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/backup"
	"github.com/empyrealapp/aedb-go/vfs"
)

// backupCallers commit beside a backup, and backupRounds is how often each kind has its
// turn.
const backupCallers, backupRounds = 32, 5

// backups measures commits alone and beside backups to a directory of the same disk.
func backups(under string, entries int) error {
	fmt.Printf("Commits of one put, alone, beside a full backup of %s entries, and beside an incremental one of what came after that, at least a tenth of the entries; the times are medians of %d backups.\n\n", count(entries), backupRounds)
	table("mode", "callers", "beside", "commits/s", "p50 us", "p99 us", "p99.9 us", "longest ms", "the backup ms")
	for _, mode := range []aedb.Durability{aedb.Full, aedb.OsBuffered} {
		if err := backupsIn(under, entries, mode); err != nil {
			return err
		}
	}
	fmt.Println()
	return nil
}

func backupsIn(under string, entries int, mode aedb.Durability) error {
	s, err := filled(under, entries, mode)
	if err != nil {
		return err
	}
	defer s.remove()
	dir, err := os.MkdirTemp(under, "backups-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	set, err := backup.OpenDirectory(vfs.OS(), dir)
	if err != nil {
		return err
	}
	var parent backup.Manifest
	options := aedb.BackupOptions{KeepLog: 1 << 40}
	kinds := []struct {
		name   string
		work   func() error
		sorted []time.Duration
		window time.Duration
		took   []time.Duration
	}{
		{name: "nothing", work: nothing},
		{name: "a full backup", work: func() (err error) {
			parent, err = s.db.BackupFull(context.Background(), set, options)
			return err
		}},
		{name: "an incremental backup", work: func() (err error) {
			parent, err = s.db.BackupIncremental(context.Background(), set, parent, options)
			return err
		}},
	}
	for range backupRounds {
		for i := range kinds {
			k := &kinds[i]
			if err := s.write(0, entries, 10); err != nil {
				return err
			}
			var took time.Duration
			sorted, window, err := s.commits(backupCallers, entries, func() error {
				began := time.Now()
				err := k.work()
				took = time.Since(began)
				return err
			})
			if err != nil {
				return err
			}
			k.sorted, k.window, k.took = append(k.sorted, sorted...), k.window+window, append(k.took, took)
		}
		for id := parent.ID; id != ""; { // a set of one chain
			m, err := backup.Load(context.Background(), set, id, options.Options)
			if err != nil {
				return err
			}
			if err := backup.Delete(context.Background(), set, id, options.Options); err != nil {
				return err
			}
			if id = ""; m.Parent != nil {
				id = m.Parent.ID
			}
		}
	}
	kinds[0].took = []time.Duration{0}
	for i := range kinds {
		k := &kinds[i]
		slices.Sort(k.sorted)
		slices.Sort(k.took)
		latencyRow(mode, backupCallers, k.name, k.sorted, k.window, k.took[len(k.took)/2])
	}
	return nil
}
