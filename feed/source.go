package feed

import (
	"context"
	"errors"

	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/msgs"
)

// Source is where a feed takes its commits from. All of it is for any goroutine.
type Source struct {
	Recent Recent
	Log    Archive
	// Written waits until Log holds all commits up to a visible one. Of those that have
	// no effects in it, it may be told late.
	Written func(ctx context.Context, seq uint64) error
	// Visible returns the newest visible commit.
	Visible func() uint64
	// Moved returns a channel that is closed when Visible changes after the call.
	Moved func() <-chan struct{}
	// Closed is closed when the log may no longer be read, and Broken when nothing
	// more will become visible.
	Closed, Broken <-chan struct{}
	// Err tells why a subscription ends when one of the two is closed.
	Err func() error
}

// Recent holds the newest commits, with what they replaced and their schema. It
// may be ahead of what is visible.
type Recent interface {
	// After returns up to limit commits that follow a seq, in order. It fails with
	// seq_garbage_collected if the next one is no longer there.
	After(seq uint64, limit int) ([]msgs.Changeset, error)
	// Oldest returns the lowest seq that After can go on from.
	Oldest() uint64
}

// ErrEnough ends the reading of an archive without an error.
var ErrEnough = errors.New("no more commits are wanted")

// Archive holds older commits: only effects, and a schema here and there.
type Archive interface {
	// Base returns the last commit, not above a seq, that the schema is known after,
	// and that schema.
	Base(seq uint64) (uint64, *catalog.Catalog, error)
	// Read calls visit for the commits above after, up to last, which is visible. It
	// goes on with later ones that it comes by, visible or not, until visit returns
	// ErrEnough; any other error of visit is returned. A changeset is valid during the
	// call only. If a commit is no longer there it fails with seq_garbage_collected.
	Read(after, last uint64, visit func(*msgs.Changeset) error) error
	// Oldest returns the lowest seq that Base and Read can go on from, and false if
	// there is none.
	Oldest() (seq uint64, ok bool, err error)
}
