package aedb_test

import (
	"context"
	"fmt"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/backup"
	"github.com/empyrealapp/aedb-go/vfs"
)

// A full backup, an incremental one on top, and a store as it was at a commit
// between them. A real set is a directory (backup.OpenDirectory) or elsewhere.
func ExampleRestore() {
	ctx := context.Background()
	db, closeAndRemove := open()
	defer closeAndRemove()
	must(db.NoAuth().CreateProject(ctx, "shop"))
	app := db.NoAuth().Scope("shop", "app")

	var set backup.Memory
	options := aedb.BackupOptions{KeepLog: 1 << 30}
	parent := must(db.BackupFull(ctx, &set, options))
	good := must(app.Commit(ctx, app.KvSet([]byte("price"), []byte("10"))))
	must(app.Commit(ctx, app.KvSet([]byte("price"), []byte("0")))) // somebody slipped
	must(db.BackupIncremental(ctx, &set, parent, options))

	cfg := aedb.DefaultConfig()
	cfg.FS = vfs.NewMem()
	report := must(aedb.Restore(ctx, &set, "before", aedb.RestoreOptions{
		Target: backup.Target{Seq: &good.CommitSeq}, FS: cfg.FS,
	}))
	before := must(aedb.OpenNoAuth("before", cfg))
	defer before.Close(ctx)
	entry, _, err := before.NoAuth().Scope("shop", "app").KV().Get(ctx, []byte("price"))
	fmt.Printf("the price was %s at commit %d, %v\n", entry.Value, report.Seq, err)
	// Output: the price was 10 at commit 2, <nil>
}
