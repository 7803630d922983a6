package aedb

import (
	"context"
	"errors"
	"iter"

	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/feed"
)

// Delta is what one commit changed; see package feed for the kinds of change.
type Delta = feed.Delta

// Change is one change within a Delta.
type Change = feed.Change

// ChangeOptions choose what a feed of changes tells of.
type ChangeOptions = feed.Options

// ChangeSelector selects changes by project, scope, table and key.
type ChangeSelector = feed.Selector

// Changes yields the commits above from, in order, each once, as soon as they are
// visible, and waits for more until the context ends, the store closes or breaks
// down, or the loop is left. The commit from itself is not among them: 0 begins
// with the first, Heads().VisibleSeq with the next, and the Seq of a Delta goes on
// behind that. Commits without a change that the options select are left out.
//
// Recent commits come from memory, with what they replaced; older ones, also of
// earlier openings, from the log, as far back as the oldest checkpoint retained.
// They do not tell what they replaced, see Delta.BeforeKnown.
//
// It ends with an error, which comes with a zero Delta: seq_garbage_collected if
// the next commit is no longer retained, because from is too old or the consumer
// too slow, unless ChangeOptions.SkipMissed; seq_not_yet_visible if from is above
// the newest commit; canceled or timeout, and unavailable, at the end of the
// context and of the store. None of them is a loss: call it again with the last
// Seq.
//
// The feed runs within the loop, and never holds up commits. In the modes that
// publish before the sync a crash can undo a commit that was told of, and in every
// mode a Volatile one, whose seq another commit has then: whoever cannot bear that
// calls DB.Flush before it relies on a Seq, or DB.WaitDurable if there are no Volatile
// commits.
func (s *Session) Changes(ctx context.Context, from uint64, o ChangeOptions) iter.Seq2[Delta, error] {
	if err := s.usable(); err != nil {
		return func(yield func(Delta, error) bool) { yield(Delta{}, err) }
	}
	return s.db.feed.Changes(ctx, from, o)
}

// Changes is Session.Changes for one scope: of the selectors only Table and
// KeyPrefix count.
func (s *Scope) Changes(ctx context.Context, from uint64, o ChangeOptions) iter.Seq2[Delta, error] {
	// An empty name would select all.
	if err := errors.Join(catalog.CheckName("project", s.project), catalog.CheckName("scope", s.scope)); err != nil {
		return func(yield func(Delta, error) bool) { yield(Delta{}, err) }
	}
	only := []ChangeSelector{{Project: s.project, Scope: s.scope}}
	if len(o.Only) > 0 {
		only = make([]ChangeSelector, len(o.Only))
		for i, selector := range o.Only {
			selector.Project, selector.Scope = s.project, s.scope
			only[i] = selector
		}
	}
	o.Only = only
	return s.session.Changes(ctx, from, o)
}

// newFeed returns the feed of the store's commits.
func (db *DB) newFeed() *feed.Feed {
	heads, history := db.pipeline.Heads(), db.pipeline.History()
	return feed.New(feed.Source{
		Recent:  history,
		Log:     feed.NewLog(db.cfg.FS, db.dir, db.sealing.Ring),
		Written: db.written,
		Visible: func() uint64 { return heads.Moment().Seq },
		Moved:   heads.Moved,
		Closed:  db.closed,
		Broken:  db.pipeline.Poisoned(),
		Err:     db.Err,
	})
}

// written waits until the log holds a visible commit and all before it. It is told of
// volatile commits with the next that is not, and now and then, while memory may have
// let go of them already; a flush tells it of all.
func (db *DB) written(ctx context.Context, seq uint64) error {
	heads := db.pipeline.Heads()
	if seq <= heads.Logged() || seq <= heads.Durable() {
		return nil
	}
	_, err := db.pipeline.Flush(ctx)
	return err
}
