package demo

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"

	aedb "github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/query"
)

// subject is the package that the queries are about.
const subject = "apache2"

// tour is the part of the demo that happens in one store: define, load, serve,
// ask.
func tour(ctx context.Context, s *screen, o options, d *dataset, dir string, out *outcome) error {
	s.heading(1, "A store")
	db, err := open(ctx, dir, nil)
	if err != nil {
		return err
	}
	return closeAfter(ctx, db, visit(ctx, s, o, d, db, out))
}

func visit(ctx context.Context, s *screen, o options, d *dataset, db *aedb.DB, out *outcome) error {
	app, err := define(ctx, db)
	if err != nil {
		return err
	}
	s.say("A store is a directory and a handle in this process; there is no server. This one is in %s. "+
		"It commits in the mode that loses nothing: a commit is acknowledged when it is on stable storage.", db.Dir())
	if err := s.tables(app); err != nil {
		return err
	}

	s.heading(2, "Loading")
	s.say("%d callers commit %s packages of Debian 12 at once. One commit writes a package, all its dependencies, a key "+
		"and two counters: all of it or nothing. Each commit passes through stages that run side by side, each with a "+
		"queue before it. Commits that arrive together form an epoch and share one sync of the disk.",
		o.callers, grouped(len(d.packages)))
	if err := s.load(ctx, db, app, d, o.callers, out); err != nil {
		return err
	}

	if o.serve > 0 {
		s.heading(3, "Serving")
		s.say("The same callers now download packages at random: each looks one up by name, then commits a row and two " +
			"counters, one of which they all share. Nobody waits for a lock: the applier carries out commits in order, and " +
			"reads see a finished snapshot. A queue that fills up slows down only the stage before it.")
		if err := s.serve(ctx, db, app, d, o, out); err != nil {
			return err
		}
	}

	s.heading(4, "Questions")
	s.say("Reads run on the caller's own goroutine, on an immutable snapshot in memory. Times are medians of %d runs.", repeats)
	i := slices.IndexFunc(d.packages, func(p pack) bool { return p.name() == subject })
	if i < 0 {
		return wrong("the catalogue has no package %s", subject)
	}
	if err := ask(ctx, s, app, &d.packages[i]); err != nil {
		return err
	}
	if err := change(ctx, db, s, app, &d.packages[i]); err != nil {
		return err
	}
	out.metrics = db.OperationalMetrics()
	return nil
}

// tables lists what was defined.
func (s *screen) tables(app *aedb.Scope) error {
	infos, err := app.Tables()
	if err != nil {
		return err
	}
	var rows []table.Row
	for _, t := range infos {
		var indexes []string
		for _, x := range t.Indexes {
			on := strings.Join(x.Columns, ", ")
			if x.Unique {
				on += " (unique)"
			}
			indexes = append(indexes, on)
		}
		rows = append(rows, table.Row{t.Name, strings.Join(t.PrimaryKey, ", "), strings.Join(indexes, ", ")})
	}
	s.table(table.Row{"table", "primary key", "indexes on"}, rows)
	return nil
}

func (s *screen) load(ctx context.Context, db *aedb.DB, app *aedb.Scope, d *dataset, callers int, out *outcome) error {
	var done atomic.Int64
	before, after, err := s.watch(ctx, db, work{
		title: "loading",
		run: func(ctx context.Context) error {
			return load(ctx, app, d.packages, callers, func(*pack, aedb.Result) error {
				done.Add(1)
				return nil
			})
		},
		progress: func() (float64, string) {
			n := done.Load()
			return share(float64(n), float64(len(d.packages))), grouped(n) + " of " + plural(len(d.packages), "package")
		},
	})
	if err != nil {
		return err
	}
	out.load = phaseOf(before, after)
	found, err := readContents(ctx, db)
	if err != nil {
		return err
	}
	out.proof = prove(d, found, nil)
	if out.proof.packages != len(d.packages) {
		out.proof.find("%d of %d packages are there", out.proof.packages, len(d.packages))
	}
	return out.proof.err()
}

func (s *screen) serve(ctx context.Context, db *aedb.DB, app *aedb.Scope, d *dataset, o options, out *outcome) error {
	var served atomic.Int64
	began := time.Now()
	before, after, err := s.watch(ctx, db, work{
		title: "serving",
		run: func(ctx context.Context) error {
			return serve(ctx, app, d.packages, o.callers, began.Add(o.serve), &served)
		},
		progress: func() (float64, string) {
			passed := min(time.Since(began), o.serve)
			return share(passed.Seconds(), o.serve.Seconds()), plural(int(served.Load()), "download")
		},
	})
	if err != nil {
		return err
	}
	out.serve = phaseOf(before, after)
	return checkDownloads(ctx, app, uint64(served.Load()))
}

// checkDownloads compares the counters of downloads and the rows with what the
// callers counted themselves.
func checkDownloads(ctx context.Context, app *aedb.Scope, served uint64) error {
	return app.View(ctx, func(v *aedb.View) error {
		total, err := readCounter(ctx, v.KV(), downloadCount)
		if err != nil {
			return err
		}
		var rows, sum uint64
		for _, err := range v.Rows(ctx, query.Select("id").From("downloads"), aedb.AllowFullScan()) {
			if err != nil {
				return err
			}
			rows++
		}
		for e, err := range v.KV().Prefix(ctx, downloadKey("")) {
			if err != nil {
				return err
			}
			n, err := readCounter(ctx, v.KV(), e.Key)
			if err != nil {
				return err
			}
			sum += n
		}
		if total != served || rows != served || sum != served {
			return wrong("%d downloads were acknowledged; the counter says %d, those of packages %d in all, and there are %d rows",
				served, total, sum, rows)
		}
		return nil
	})
}
