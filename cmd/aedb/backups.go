package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/backup"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/keys"
	"github.com/empyrealapp/aedb-go/manifest"
	"github.com/empyrealapp/aedb-go/vfs"
)

func newBackup() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "backup",
		Short: "Take, list, verify and delete backups of a store",
		Long: `A set of backups is a directory, --root. A full backup holds a whole state, an
incremental one the commits behind another backup. aedb restore makes a store of them.`,
		Args: cobra.NoArgs,
		RunE: operation(func(*cobra.Command, []string) error {
			return usagef("backup needs one of create, incremental, list, verify and delete")
		}),
	}
	cmd.AddCommand(newBackupCreate(), newBackupIncremental(), newBackupList(), newBackupVerify(), newBackupDelete())
	return cmd
}

// setFlags find a set of backups.
type setFlags struct {
	root   string
	answer answerFlag
}

func (f *setFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&f.root, "root", "", "directory of the set of backups (required)")
	f.answer.register(flags)
}

// use gives the set, which is there, to a verb, with the keys to read it.
func (f *setFlags) use(secrets *keyFlags, verb func(*backup.Directory, backup.Options) error) error {
	if f.root == "" {
		return usagef("--root is required")
	}
	set, err := backup.ReadDirectory(vfs.OS(), f.root)
	if err != nil {
		return err
	}
	o, wipe, err := secrets.options()
	if err != nil {
		return err
	}
	defer wipe()
	return verb(set, o)
}

// options returns how a set is read, and what ends the use of the keys.
func (f *keyFlags) options() (backup.Options, func(), error) {
	c, err := f.config()
	if err != nil {
		return backup.Options{}, nil, err
	}
	ring, err := keys.NewRing(c.Ring...)
	return backup.Options{Keys: ring, Seal: c.Encrypt}, ring.Wipe, err
}

// backupAnswer describes a backup.
type backupAnswer struct {
	ID      string `json:"id"`
	Kind    string `json:"kind"`
	Parent  string `json:"parent,omitempty"`
	FromSeq uint64 `json:"from_seq"`
	Seq     uint64 `json:"seq"`
	Created int64  `json:"created_micros"`
	Bytes   int64  `json:"bytes"`
}

func describeBackup(m *backup.Manifest) backupAnswer {
	a := backupAnswer{ID: m.ID, Kind: string(m.Kind), FromSeq: m.FromSeq, Seq: m.Seq, Created: m.CreatedMicros, Bytes: m.Bytes()}
	if m.Parent != nil {
		a.Parent = m.Parent.ID
	}
	return a
}

func (a backupAnswer) print(out io.Writer) {
	fmt.Fprintf(out, "ok  %s  %s  seq %d  %d bytes\n", a.ID, a.Kind, a.Seq, a.Bytes)
}

// newTaking makes a verb that takes a backup.
func newTaking(use, short string, take func(context.Context, *aedb.DB, backup.Store, aedb.BackupOptions) (backup.Manifest, error)) *cobra.Command {
	var store storeFlags
	var set setFlags
	keep := int64(1 << 30)
	cmd := &cobra.Command{
		Use: use, Short: short, Args: cobra.NoArgs,
		Long: short + ".\n\nThe store must not be open elsewhere: a program that has it open takes backups itself.",
		RunE: operation(func(cmd *cobra.Command, _ []string) error {
			if set.root == "" {
				return usagef("--root is required")
			}
			return store.existing(cmd, func(ctx context.Context, db *aedb.DB) error {
				to, err := backup.OpenDirectory(vfs.OS(), set.root)
				if err != nil {
					return err
				}
				o, wipe, err := store.keys.options()
				if err != nil {
					return err
				}
				defer wipe()
				b := &unitBar{out: cmd.ErrOrStderr()}
				o.OnProgress = func(p backup.Progress) { b.show(string(p.Phase), p.Done, p.Total) }
				m, err := take(ctx, db, to, aedb.BackupOptions{Options: o, KeepLog: keep})
				b.end()
				if err != nil {
					return err
				}
				a := describeBackup(&m)
				return set.answer.write(cmd, a, a.print)
			})
		}),
	}
	store.register(cmd.Flags())
	set.register(cmd.Flags())
	cmd.Flags().Int64Var(&keep, "keep-log", keep, "bytes of log that the store may keep for the next incremental backup; 0 keeps none")
	return cmd
}

func newBackupCreate() *cobra.Command {
	return newTaking("create", "Take a full backup",
		func(ctx context.Context, db *aedb.DB, to backup.Store, o aedb.BackupOptions) (backup.Manifest, error) {
			return db.BackupFull(ctx, to, o)
		})
}

func newBackupIncremental() *cobra.Command {
	var parent string
	cmd := newTaking("incremental", "Take a backup of the commits behind an earlier one",
		func(ctx context.Context, db *aedb.DB, to backup.Store, o aedb.BackupOptions) (backup.Manifest, error) {
			m, err := parentIn(ctx, to, parent, db.Recovery().Incarnation, o.Options)
			if err != nil {
				return m, err
			}
			return db.BackupIncremental(ctx, to, m, o)
		})
	cmd.Flags().StringVar(&parent, "parent", "", "backup to follow; the newest of the store if not given")
	return cmd
}

// parentIn returns the backup of that name, or the newest one of the store that can be
// restored as far as the manifests tell: what follows one that cannot is lost as well.
func parentIn(ctx context.Context, from backup.Store, id string, of manifest.Incarnation, o backup.Options) (backup.Manifest, error) {
	if id != "" {
		chain, err := backup.LoadChain(ctx, from, id, o)
		if err != nil {
			return backup.Manifest{}, err
		}
		return *chain.Head(), nil
	}
	found, err := backup.List(ctx, from, o)
	if err != nil {
		return backup.Manifest{}, err
	}
	reason := "" // why the newest cannot be
	for _, m := range slices.Backward(found.Backups) {
		if m.Incarnation != of {
			continue
		}
		_, err := backup.LoadChain(ctx, from, m.ID, o)
		switch {
		case err == nil:
			return m, nil
		case !errors.Is(err, errs.ErrIntegrity):
			return backup.Manifest{}, err
		case reason == "":
			reason = ": " + err.Error()
		}
	}
	return backup.Manifest{}, &failure{
		exit: exitFailed, code: "no_parent", what: "the set holds no backup of this store that can be followed" + reason, hint: "take a full backup: aedb backup create",
	}
}

// listingAnswer is the answer of backup list.
type listingAnswer struct {
	Backups    []backupAnswer  `json:"backups"`
	Damaged    []damagedBackup `json:"damaged"`
	Unfinished []string        `json:"unfinished"`
}

type damagedBackup struct {
	ID     string `json:"id"`
	Reason string `json:"reason"`
}

func describeDamage(all []backup.Damage) []damagedBackup {
	answer := []damagedBackup{}
	for _, d := range all {
		answer = append(answer, damagedBackup{d.Name, d.Err.Error()})
	}
	return answer
}

func printDamaged(out io.Writer, all []damagedBackup) {
	for _, d := range all {
		fmt.Fprintf(out, "INVALID %s: %s\n", d.ID, oneLine(d.Reason))
	}
}

func newBackupList() *cobra.Command {
	var set setFlags
	var secrets keyFlags
	cmd := &cobra.Command{
		Use: "list", Short: "List the backups of a set; the exit code is 1 if one is invalid", Args: cobra.NoArgs,
		RunE: operation(func(cmd *cobra.Command, _ []string) error {
			return set.use(&secrets, func(from *backup.Directory, o backup.Options) error {
				found, err := backup.List(cmd.Context(), from, o)
				if err != nil {
					return err
				}
				a := listingAnswer{Backups: []backupAnswer{}, Damaged: describeDamage(found.Damaged), Unfinished: append([]string{}, found.Unfinished...)}
				var rows []table.Row
				for i := range found.Backups {
					b := describeBackup(&found.Backups[i])
					a.Backups = append(a.Backups, b)
					rows = append(rows, table.Row{b.ID, b.Kind, b.Parent, b.FromSeq, b.Seq, made(b.Created), b.Bytes})
				}
				err = set.answer.write(cmd, a, func(out io.Writer) {
					printTable(out, table.Row{"backup", "kind", "parent", "from seq", "seq", "made", "bytes"}, rows)
					printDamaged(out, a.Damaged)
					for _, name := range a.Unfinished {
						fmt.Fprintf(out, "unfinished: %s\n", name)
					}
				})
				if err == nil && len(a.Damaged) > 0 {
					return checkFailed(fmt.Sprintf("%d backups are invalid", len(a.Damaged)), "take a full backup")
				}
				return err
			})
		}),
	}
	set.register(cmd.Flags())
	secrets.register(cmd.Flags())
	return cmd
}

// verdictAnswer is the answer of backup verify.
type verdictAnswer struct {
	OK       bool            `json:"ok"`
	Backups  int             `json:"backups"`
	Objects  int             `json:"objects"`
	Bytes    int64           `json:"bytes"`
	Rebuilt  int             `json:"chains_rebuilt"`
	Compared int             `json:"digests_compared"`
	Damaged  []damagedBackup `json:"damaged"`
}

func newBackupVerify() *cobra.Command {
	var set setFlags
	var secrets keyFlags
	var o backup.VerifyOptions
	cmd := &cobra.Command{
		Use: "verify", Short: "Read backups whole; the exit code is 1 if one cannot be restored", Args: cobra.NoArgs,
		RunE: operation(func(cmd *cobra.Command, _ []string) error {
			return set.use(&secrets, func(from *backup.Directory, options backup.Options) error {
				b := &unitBar{out: cmd.ErrOrStderr()}
				o.Options = options
				o.OnProgress = func(p backup.Progress) { b.show(string(p.Phase), p.Done, p.Total) }
				v, err := backup.Verify(cmd.Context(), from, o)
				b.end()
				if err != nil {
					return err
				}
				a := verdictAnswer{v.OK(), v.Backups, v.Objects, v.Bytes, v.Rebuilt, v.Compared, describeDamage(v.Damaged)}
				err = set.answer.write(cmd, a, func(out io.Writer) {
					fmt.Fprintf(out, "%s  %d backups  %d objects  %d bytes  %d chains restored in memory\n", passed(a.OK), a.Backups, a.Objects, a.Bytes, a.Rebuilt)
					printDamaged(out, a.Damaged)
				})
				if err == nil && !a.OK {
					return checkFailed(fmt.Sprintf("%d backups cannot be restored", len(a.Damaged)), "take a full backup")
				}
				return err
			})
		}),
	}
	set.register(cmd.Flags())
	secrets.register(cmd.Flags())
	cmd.Flags().StringVar(&o.Backup, "backup", "", "end of the one chain to verify; all of them if not given")
	cmd.Flags().BoolVar(&o.Rebuild, "rebuild", false, "also restore the end of each chain in memory, and compare its digest")
	return cmd
}

// deletionAnswer is the answer of backup delete.
type deletionAnswer struct {
	Deleted []string `json:"deleted"`
}

func newBackupDelete() *cobra.Command {
	var set setFlags
	var secrets keyFlags
	var unfinished bool
	cmd := &cobra.Command{
		Use: "delete [BACKUP...]", Short: "Delete backups, or what is left of interrupted ones",
		Long: `delete removes the named backups in the given order. One that another builds on is
refused: the newest of a chain goes first. An unfinished backup may also be one that
is being taken.`,
		RunE: operation(func(cmd *cobra.Command, ids []string) error {
			if len(ids) == 0 && !unfinished {
				return usagef("name the backups to delete, or give --unfinished")
			}
			return set.use(&secrets, func(from *backup.Directory, o backup.Options) error {
				found, err := backup.List(cmd.Context(), from, o)
				if err != nil {
					return err
				}
				whole, partial := idsOf(&found)
				for _, id := range ids {
					if !slices.Contains(whole, id) && !slices.Contains(partial, id) {
						return &failure{
							exit: exitFailed, code: "no_backup", what: fmt.Sprintf("the set holds no backup %q", id), hint: "aedb backup list tells what there is",
						}
					}
				}
				if unfinished {
					ids = append(ids, partial...)
				}
				a := deletionAnswer{Deleted: []string{}}
				for _, id := range ids {
					if err := backup.Delete(cmd.Context(), from, id, o); err != nil {
						return err
					}
					a.Deleted = append(a.Deleted, id)
				}
				return set.answer.write(cmd, a, func(out io.Writer) {
					for _, id := range a.Deleted {
						fmt.Fprintf(out, "deleted  %s\n", id)
					}
				})
			})
		}),
	}
	set.register(cmd.Flags())
	secrets.register(cmd.Flags())
	cmd.Flags().BoolVar(&unfinished, "unfinished", false, "delete what is left of all backups that were not finished")
	return cmd
}

// idsOf returns the ids of the backups in a set, valid or not, and of those of which
// something is left.
func idsOf(found *backup.Listing) (whole, partial []string) {
	for i := range found.Backups {
		whole = append(whole, found.Backups[i].ID)
	}
	for _, d := range found.Damaged {
		whole = append(whole, d.Name)
	}
	for _, object := range found.Unfinished {
		id, _, _ := strings.Cut(object, ".")
		partial = append(partial, id)
	}
	slices.Sort(partial)
	return whole, slices.Compact(partial)
}

// restoreAnswer is the answer of restore.
type restoreAnswer struct {
	Seq         uint64 `json:"seq"`
	Micros      int64  `json:"micros"`
	Digest      string `json:"digest"`
	Compared    bool   `json:"digest_compared"`
	Incarnation string `json:"incarnation"`
}

func newRestore() *cobra.Command {
	var store storeFlags
	var set setFlags
	var target backup.Target
	var seq uint64
	var at string
	cmd := &cobra.Command{
		Use:   "restore",
		Short: "Make a store of a set of backups, as it was at its end, a commit or a time",
		Long: `restore makes a store in --data-dir, which is absent or empty. All that is read is
verified. The store has an identity of its own; under keys it is protected by them.`,
		Example: `  aedb restore --root ./backups --data-dir ./restored
  aedb restore --root ./backups --data-dir ./restored --to-time 2026-11-23T01:00:00Z`,
		Args: cobra.NoArgs,
		RunE: operation(func(cmd *cobra.Command, _ []string) error {
			cfg, err := store.config(cmd)
			if err != nil {
				return err
			}
			if cmd.Flags().Changed("to-seq") {
				target.Seq = &seq
			}
			if at != "" {
				t, err := time.Parse(time.RFC3339Nano, at)
				if err != nil || t.IsZero() { // which would stand for the end
					return usagef("--to-time %q is not a time as in 2026-11-23T01:00:00Z", at)
				}
				target.Time = t
			}
			return set.use(&store.keys, func(from *backup.Directory, options backup.Options) error {
				b := &unitBar{out: cmd.ErrOrStderr()}
				options.OnProgress = func(p backup.Progress) { b.show(string(p.Phase), p.Done, p.Total) }
				report, err := aedb.Restore(cmd.Context(), from, store.dir, aedb.RestoreOptions{Options: options, Target: target, StoreKeys: cfg.Keys})
				b.end()
				if err != nil {
					return err
				}
				a := restoreAnswer{report.Seq, report.Time.UnixMicro(), fmt.Sprintf("%x", report.Digest), report.Compared, report.Incarnation}
				return set.answer.write(cmd, a, func(out io.Writer) {
					fmt.Fprintf(out, "ok  seq %d  of %s\ndigest %s\n", a.Seq, report.Time.Format(time.RFC3339Nano), a.Digest)
				})
			})
		}),
	}
	flags := cmd.Flags()
	flags.StringVar(&store.dir, "data-dir", "", "directory of the new store (required)")
	store.durability, store.logLevel = "full", "warn"
	store.keys.register(flags)
	store.keys.registerWriting(flags)
	set.register(flags)
	flags.StringVar(&target.Backup, "backup", "", "backup whose chain is used; the newest that leads there if not given")
	flags.Uint64Var(&seq, "to-seq", 0, "commit to restore to")
	flags.StringVar(&at, "to-time", "", "time to restore to, in RFC 3339")
	cmd.MarkFlagsMutuallyExclusive("to-seq", "to-time")
	return cmd
}

// unitBar shows the phases of an operation one after the other.
type unitBar struct {
	out   io.Writer
	phase string
	bar   *bar
}

func (b *unitBar) show(phase string, done, total int64) {
	if b.phase != phase {
		b.end()
		b.phase, b.bar = phase, newBar(b.out, total)
	}
	b.bar.show(done, phase)
}

func (b *unitBar) end() { b.bar.end() }
