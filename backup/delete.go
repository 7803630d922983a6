package backup

import (
	"context"

	"github.com/empyrealapp/aedb-go/errs"
)

// Delete removes a backup, or what is left of one that was not finished: the
// manifest first, so that what is left after an interruption is no backup. One that
// another builds on is refused with errs.CodeValidation: the newest of a chain is
// deleted first.
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
