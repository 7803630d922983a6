package demo

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	aedb "github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/query"
)

// load commits packages through concurrent callers, one commit each, and tells
// acknowledged about each commit once it is durable. That function is called by
// many goroutines.
func load(ctx context.Context, app *aedb.Scope, packages []pack, callers int, acknowledged func(*pack, aedb.Result) error) error {
	var next atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	for range callers {
		g.Go(func() error {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(packages) {
					return nil
				}
				p := &packages[i]
				r, err := app.CommitEnvelope(ctx, p.envelope(app), aedb.Durable)
				if err != nil {
					return during(err, "package %s", p.name())
				}
				if err := acknowledged(p, r); err != nil {
					return err
				}
			}
		})
	}
	return g.Wait()
}

// serve has concurrent callers download packages for a while: each looks a
// package up by name, then commits a row and two counters. One of the counters
// is the same for all, the hardest case for a store that locks. It counts every
// durable commit in served.
func serve(ctx context.Context, app *aedb.Scope, packages []pack, callers int, until time.Time, served *atomic.Int64) error {
	var ids atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	for caller := range callers {
		g.Go(func() error {
			for time.Now().Before(until) {
				name := packages[rand.IntN(len(packages))].name()
				found, err := app.Query(ctx, query.Select("id").From("packages").Where(query.Eq("name", name)))
				if err != nil {
					return err
				}
				if len(found.Rows) != 1 {
					return wrong("%d packages have the name %s", len(found.Rows), name)
				}
				_, err = app.CommitEnvelope(ctx, aedb.Envelope{Mutations: []aedb.Mutation{
					app.Insert("downloads", aedb.Row{aedb.Int(ids.Add(1)), found.Rows[0][0], aedb.Int(int64(caller))}),
					app.KvAddU64(downloadKey(name), 1, aedb.TreatAsZero, aedb.RejectLimit),
					app.KvAddU64(downloadCount, 1, aedb.TreatAsZero, aedb.RejectLimit),
				}}, aedb.Durable)
				if err != nil {
					return err
				}
				served.Add(1)
			}
			return nil
		})
	}
	return g.Wait()
}
