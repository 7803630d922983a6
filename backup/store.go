package backup

import (
	"context"
	"io"
	"slices"
	"strings"

	"github.com/empyrealapp/aedb-go/errs"
)

// Sink takes objects. Calls come one at a time.
type Sink interface {
	// Put keeps what in yields, to its end, as the object of that name. The name
	// is not taken: objects are never replaced. When Put returns without an error
	// the object is whole and durable; after an error, also one of in, there is no
	// object of the name, or a whole one.
	Put(ctx context.Context, name string, in io.Reader) error
}

// Store keeps objects under flat names: what an object store, a directory or a
// memory does. Names are those that CheckName passes. All methods are safe for
// concurrent use; but for the object put or deleted, they see what was there.
type Store interface {
	Sink
	// Get returns a reader of an object, which the caller closes. One that is not
	// there is an error that matches fs.ErrNotExist.
	Get(ctx context.Context, name string) (io.ReadCloser, error)
	// List returns the names of all objects, sorted. Of a Put that was interrupted it
	// may return the name with ".tmp" behind it, if something is left of that, or if it
	// is going on.
	List(ctx context.Context) ([]string, error)
	// Delete removes an object, or what such a name stands for; one that is not there
	// is no error.
	Delete(ctx context.Context, name string) error
}

// takeBack deletes the objects of a backup that was not finished, where the sink can
// do that. They mean nothing, also if they stay. The last one put goes first, so that a
// manifest never outlives what it lists, nor a backup its parent.
func takeBack(ctx context.Context, to Sink, names []string) {
	store, ok := to.(Store)
	if !ok {
		return
	}
	for _, name := range slices.Backward(names) {
		_ = store.Delete(context.WithoutCancel(ctx), name)
	}
}

// MaxNameBytes is the greatest length of the name of an object.
const MaxNameBytes = 128

// tempSuffix ends the name of what is on its way to be an object.
const tempSuffix = ".tmp"

// objectOf returns the name of the object that a name of a listing stands for.
func objectOf(listed string) string { return strings.TrimSuffix(listed, tempSuffix) }

// CheckName returns an integrity error for a name that is none of an object: one
// that is empty, longer than MaxNameBytes, begins with anything but a letter or a
// digit, has characters other than lower-case letters, digits, dots and hyphens,
// or ends as a temporary file does.
func CheckName(name string) error {
	ok := name != "" && len(name) <= MaxNameBytes && alphanumeric(name[0]) && !strings.HasSuffix(name, tempSuffix)
	for i := 0; ok && i < len(name); i++ {
		ok = alphanumeric(name[i]) || name[i] == '.' || name[i] == '-'
	}
	if !ok {
		return errs.New(errs.CodeIntegrity, "%.200q is not the name of an object", name)
	}
	return nil
}

func alphanumeric(c byte) bool { return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' }
