package backup

import (
	"context"
	"encoding/json"

	"github.com/empyrealapp/aedb-go/errs"
)

// Delete removes a backup, or what is left of one that was not finished: the
// manifest first, so that what is left after an interruption is no backup. One that
// another builds on is refused with errs.CodeValidation: the newest of a chain is
// deleted first. It counts too if it cannot be read with the keys given, or does not
// verify; what cannot be got at all refuses every deletion but its own.
func Delete(ctx context.Context, from Store, id string, o Options) error {
	if _, _, ok := parseID(id); !ok {
		return errs.New(errs.CodeValidation, "%.100q is not the id of a backup", id)
	}
	l, err := List(ctx, from, o)
	if err != nil {
		return err
	}
	for i := range l.Backups {
		if m := &l.Backups[i]; m.Parent != nil && m.Parent.ID == id {
			return errs.New(errs.CodeValidation, "backup %s builds on %s", m.ID, id).On(id)
		}
	}
	for _, d := range l.Damaged {
		if d.Name == id {
			continue
		}
		parent, err := statedParent(ctx, from, d.Name)
		if err != nil {
			return failed(err, "find out whether backup %s builds on %s", d.Name, id).On(id)
		}
		if parent == id {
			return errs.New(errs.CodeValidation, "backup %s builds on %s, as far as its manifest can be believed", d.Name, id).On(id)
		}
	}
	names, err := from.List(ctx)
	if err != nil {
		return failed(err, "list the objects of backup %s", id).On(id)
	}
	if err := from.Delete(ctx, id+manifestSuffix); err != nil {
		return failed(err, "delete backup %s", id).On(id)
	}
	for _, name := range names {
		if owner, _, ok := backupOf(objectOf(name)); !ok || owner != id || name == id+manifestSuffix {
			continue
		}
		if err := from.Delete(ctx, name); err != nil {
			return failed(err, "delete %s", name).On(name)
		}
	}
	return nil
}

// statedParent returns the parent that a manifest states, whether that verifies or not:
// to who has other keys it may. A full backup has none, and neither has a document that
// is damaged past reading, for that verifies to nobody.
func statedParent(ctx context.Context, from Store, id string) (string, error) {
	data, err := readManifest(ctx, from, id)
	if err != nil {
		return "", err
	}
	var stated struct {
		Parent struct {
			ID string `json:"id"`
		} `json:"parent"`
	}
	if json.Unmarshal(data, &stated) != nil {
		return "", nil
	}
	return stated.Parent.ID, nil
}
