package backup

import (
	"cmp"
	"context"
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/empyrealapp/aedb-go/errs"
)

// Listing is what a store holds.
type Listing struct {
	// Backups are those whose manifest verifies, from the oldest to the newest by
	// the time of making.
	Backups []Manifest
	// Damaged are those whose manifest does not.
	Damaged []Damage
	// Unfinished are the objects of backups without a manifest, and what an interrupted
	// Put has left of one: of a backup that is being made now, or that was interrupted.
	// The id for Delete is what stands before the first dot of a name.
	Unfinished []string
}

// Damage is something that cannot be used, and why.
type Damage struct {
	// Name is that of a backup or of an object.
	Name string
	Err  error
}

// List reads the manifests in a store. Objects whose names no backup gives are
// passed over.
func List(ctx context.Context, from Store, o Options) (Listing, error) {
	names, err := from.List(ctx)
	if err != nil {
		return Listing{}, failed(err, "list the backups")
	}
	var l Listing
	finished := map[string]bool{}
	for _, name := range names {
		id, isManifest, ok := backupOf(name)
		if !ok || !isManifest {
			continue
		}
		finished[id] = true
		m, err := Load(ctx, from, id, o)
		switch {
		case ctx.Err() != nil:
			return Listing{}, errs.FromContext(ctx, "list the backups")
		case err != nil:
			l.Damaged = append(l.Damaged, Damage{id, err})
		default:
			l.Backups = append(l.Backups, m)
		}
	}
	for _, name := range names {
		if id, _, ok := backupOf(objectOf(name)); ok && !finished[id] {
			l.Unfinished = append(l.Unfinished, name)
		}
	}
	slices.SortStableFunc(l.Backups, func(a, b Manifest) int {
		return cmp.Or(cmp.Compare(a.CreatedMicros, b.CreatedMicros), cmp.Compare(a.Seq, b.Seq), strings.Compare(a.ID, b.ID))
	})
	return l, nil
}

// Load reads the manifest of a backup. One that is not there is
// errs.CodeValidation, one that does not verify errs.CodeIntegrity, one that takes
// another key or a newer version errs.CodeUnavailable.
func Load(ctx context.Context, from Store, id string, o Options) (Manifest, error) {
	if _, _, ok := parseID(id); !ok {
		return Manifest{}, errs.New(errs.CodeValidation, "%.100q is not the id of a backup", id)
	}
	data, err := readManifest(ctx, from, id)
	if err != nil {
		return Manifest{}, err
	}
	m, err := Decode(data, o.Keys)
	if err != nil {
		return Manifest{}, failed(err, "the manifest of backup %s cannot be used", id).On(id)
	}
	if m.ID != id {
		return Manifest{}, damaged(id, "the manifest of backup %s is that of %s", id, m.ID)
	}
	return m, nil
}

// readManifest reads the bytes of a manifest, which are not verified.
func readManifest(ctx context.Context, from Store, id string) ([]byte, error) {
	in, err := from.Get(ctx, id+manifestSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errs.Wrap(errs.CodeValidation, err, "there is no backup %s", id).On(id)
	}
	if err != nil {
		return nil, failed(err, "read the manifest of backup %s", id).On(id)
	}
	defer in.Close() // it was only read
	data, err := io.ReadAll(underContext(ctx, io.LimitReader(in, maxManifestBytes+1)))
	switch {
	case err != nil:
		return nil, failed(err, "read the manifest of backup %s", id).On(id)
	case len(data) > maxManifestBytes:
		return nil, damaged(id, "the manifest of backup %s has more than %d bytes", id, maxManifestBytes)
	}
	return data, nil
}

// Chain is a full backup and incremental ones, each the child of the one before.
type Chain []Manifest

// Base returns the full backup that the chain begins with.
func (c Chain) Base() *Manifest { return &c[0] }

// Head returns the last backup of the chain.
func (c Chain) Head() *Manifest { return &c[len(c)-1] }

// LoadChain returns the chain that ends with a backup.
func LoadChain(ctx context.Context, from Store, id string, o Options) (Chain, error) {
	return chainOf(id, func(id string) (Manifest, error) { return Load(ctx, from, id, o) })
}

// chainOf follows parents from a backup to a full one. It ends because a parent
// is named by a digest that it must have: there is no way back.
func chainOf(id string, load func(id string) (Manifest, error)) (Chain, error) {
	var c Chain
	for {
		m, err := load(id)
		if len(c) > 0 && errs.CodeOf(err) == errs.CodeValidation {
			child := c[len(c)-1].ID
			err = errs.Wrap(errs.CodeIntegrity, err, "backup %s has lost its parent, %s", child, id).On(child)
		}
		if err != nil {
			return nil, err
		}
		if len(c) > 0 {
			if err := follows(&m, &c[len(c)-1]); err != nil {
				return nil, err
			}
		}
		c = append(c, m)
		if m.Kind == Full {
			slices.Reverse(c)
			return c, nil
		}
		id = m.Parent.ID
	}
}

// follows checks that a backup is the child of another.
func follows(parent, child *Manifest) error {
	switch {
	case parent.digest != child.Parent.Digest:
		return damaged(child.ID, "backup %s was made on another manifest of its parent, %s", child.ID, parent.ID)
	case parent.Incarnation != child.Incarnation:
		return damaged(child.ID, "backup %s is of store %s, and its parent %s of %s", child.ID, child.Incarnation, parent.ID, parent.Incarnation)
	case parent.KeyEncoding != child.KeyEncoding:
		return damaged(child.ID, "backup %s has key encoding %d, and its parent %s has %d", child.ID, child.KeyEncoding, parent.ID, parent.KeyEncoding)
	case parent.Seq+1 != child.FromSeq:
		return damaged(child.ID, "backup %s begins at commit %d, and its parent %s ends at %d", child.ID, child.FromSeq, parent.ID, parent.Seq)
	case child.Micros < parent.Micros:
		return damaged(child.ID, "backup %s ends at an earlier time than its parent, %s", child.ID, parent.ID)
	}
	return nil
}
