package backup

import (
	"context"
	"io"
	"slices"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/vfs"
)

// VerifyOptions say what is verified.
type VerifyOptions struct {
	Options
	// Backup is the end of the one chain to be verified. Empty is every backup in
	// the store.
	Backup string
	// Rebuild also restores the end of each chain in memory, as a restore would, and
	// compares its digest where one was recorded. It takes the memory of a store.
	Rebuild bool
}

// Verdict is what Verify found.
type Verdict struct {
	// Backups, Objects and Bytes count what was looked at.
	Backups, Objects int
	Bytes            int64
	// Rebuilt counts the chains that were restored in memory, Compared those of
	// which there was a digest to compare with.
	Rebuilt, Compared int
	// Damaged are the backups that cannot be restored, each with the first reason.
	Damaged []Damage
	// Unfinished are objects of backups without a manifest; see Listing.
	Unfinished []string
}

// OK reports whether all that was looked at can be restored.
func (v *Verdict) OK() bool { return len(v.Damaged) == 0 }

// Verify checks backups: manifests with their signatures, chains, sizes and digests
// of all objects, the commits in each piece of log. Damage is a verdict, not an
// error. An error is that the store cannot be listed, that the one backup asked for
// is not there, or the end of the context.
func Verify(ctx context.Context, from Store, o VerifyOptions) (Verdict, error) {
	v := verification{VerifyOptions: o, from: from, bad: map[string]bool{}}
	chains, err := v.chains(ctx)
	if err != nil {
		return Verdict{}, err
	}
	checked := map[string]bool{}
	for _, chain := range chains {
		for i := range chain {
			m := &chain[i]
			if !checked[m.ID] {
				checked[m.ID] = true
				v.note(m.ID, v.check(ctx, m))
			}
			if i > 0 && v.bad[chain[i-1].ID] {
				v.note(m.ID, damaged(m.ID, "backup %s builds on %s, which cannot be restored", m.ID, chain[i-1].ID))
			}
		}
		if !v.bad[chain.Head().ID] && v.Rebuild {
			v.note(chain.Head().ID, v.rebuild(ctx, chain))
		}
		if ctx.Err() != nil {
			return Verdict{}, errs.FromContext(ctx, "verify backups")
		}
	}
	return v.verdict, nil
}

type verification struct {
	VerifyOptions
	from    Store
	verdict Verdict
	bad     map[string]bool
}

// note takes note of what is wrong with a backup, once.
func (v *verification) note(id string, err error) {
	if err != nil && !v.bad[id] {
		v.bad[id] = true
		v.verdict.Damaged = append(v.verdict.Damaged, Damage{id, err})
	}
}

// chains returns the chains to verify: those to backups without children. A child that
// does not fit its parent is none.
func (v *verification) chains(ctx context.Context) ([]Chain, error) {
	if v.Backup != "" {
		chain, err := LoadChain(ctx, v.from, v.Backup, v.Options)
		if err != nil && errs.CodeOf(err) == errs.CodeIntegrity {
			v.note(v.Backup, err)
			return nil, nil
		}
		return []Chain{chain}, err
	}
	l, err := List(ctx, v.from, v.Options)
	if err != nil {
		return nil, err
	}
	v.verdict.Unfinished = l.Unfinished
	for _, d := range l.Damaged {
		v.note(d.Name, d.Err)
	}
	known := map[string]Manifest{}
	for _, m := range l.Backups {
		known[m.ID] = m
	}
	var chains []Chain
	inside := map[string]bool{} // chains that go further
	for _, m := range l.Backups {
		chain, err := chainOf(m.ID, func(id string) (Manifest, error) {
			if m, ok := known[id]; ok {
				return m, nil
			}
			return Load(ctx, v.from, id, v.Options)
		})
		v.note(m.ID, err)
		if err != nil {
			continue
		}
		chains = append(chains, chain)
		if m.Parent != nil {
			inside[m.Parent.ID] = true
		}
	}
	return slices.DeleteFunc(chains, func(c Chain) bool { return inside[c.Head().ID] }), nil
}

// check reads all objects of a backup.
func (v *verification) check(ctx context.Context, m *Manifest) error {
	v.verdict.Backups++
	for i := range m.Objects {
		object := &m.Objects[i]
		var err error
		if m.Kind == Full {
			err = readObject(ctx, v.from, v.Options, m.Sealed, object, func(in io.Reader) error {
				_, err := io.Copy(io.Discard, in)
				return err
			})
		} else {
			err = readLog(ctx, v.from, v.Options, m, i, func(*msgs.Changeset) error { return nil })
		}
		if err != nil {
			return err
		}
		v.verdict.Objects++
		v.verdict.Bytes += object.Size
		v.tell(ReadLog, m.ID, v.verdict.Bytes, 0)
	}
	return nil
}

// rebuild restores the end of a chain in memory.
func (v *verification) rebuild(ctx context.Context, chain Chain) error {
	head := chain.Head()
	p := Plan{Chain: chain, Seq: head.Seq, Micros: head.Micros, State: head.State}
	if _, err := Rebuild(ctx, v.from, &p, Scratch{FS: vfs.NewMem(), Name: "checkpoint"}, v.Options); err != nil {
		return err
	}
	v.verdict.Rebuilt++
	if p.State != nil {
		v.verdict.Compared++
	}
	return nil
}
