package demo

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"

	aedb "github.com/empyrealapp/aedb-go"
)

// crash is the result of killing one child and opening its store.
type crash struct {
	acknowledged int // by this child
	proof        *proof
	took         time.Duration // opening the store again
	recovery     aedb.RecoveryReport
}

// crasher kills children that load one store, again and again.
type crasher struct {
	dir     string
	verb    []string // arguments that lead to the demo
	dataset *dataset
	most    int // packages of the dataset, 0 for all
	callers int
	kills   int

	acknowledged map[int64]uint64 // by all children, and at last by run itself
}

// run kills and proves as often as asked, then loads the rest and proves the
// whole. The error is the first proof that does not hold, or what kept it from
// being made.
func (c *crasher) run(ctx context.Context, s *screen) ([]crash, error) {
	c.acknowledged = map[int64]uint64{}
	var all []crash
	for n := range c.kills {
		one, err := c.once(ctx, c.share(n))
		if err != nil {
			return all, during(err, "crash %d", n+1)
		}
		all = append(all, one)
		s.crash(n+1, one)
		if err := one.proof.err(); err != nil {
			return all, during(err, "crash %d", n+1)
		}
	}
	final, err := c.finish(ctx)
	if err != nil {
		return all, err
	}
	s.lines(
		fmt.Sprintf("  %s  loaded to the last of %s", s.bold("the rest"), plural(final.packages, "package")),
		fmt.Sprintf("  %s %s values of rows and %s index entries compared, %s",
			s.faint("proof    "), grouped(final.fields), grouped(final.indexEntries), s.verdict(final)),
		"")
	return all, final.err()
}

// share is the number of acknowledgements after which the next child dies: at
// random around an equal part of what is left, so that each dies in the middle.
func (c *crasher) share(done int) int {
	left := len(c.dataset.packages) - len(c.acknowledged)
	part := left / (c.kills - done + 1)
	return max(1, part/2+rand.IntN(part/2+1))
}

// once lets a child load until it has died, opens its store and makes the proof.
func (c *crasher) once(ctx context.Context, enough int) (crash, error) {
	before := len(c.acknowledged)
	victim, err := startChild(ctx, c.verb, c.dir, c.callers, c.most)
	if err != nil {
		return crash{}, err
	}
	err = victim.loadUntilKilled(enough, c.acknowledged)
	if ctx.Err() != nil {
		return crash{}, ctx.Err()
	}
	if err != nil {
		return crash{}, err
	}
	db, err := open(ctx, c.dir, crashConfig)
	if err != nil {
		return crash{}, during(err, "open the store after the kill")
	}
	found, err := readContents(ctx, db)
	one := crash{
		acknowledged: len(c.acknowledged) - before,
		took:         db.OperationalMetrics().StartupRecoveryTime,
		recovery:     db.Recovery(),
	}
	if err := closeAfter(ctx, db, err); err != nil {
		return crash{}, err
	}
	one.proof = prove(c.dataset, found, c.acknowledged)
	return one, nil
}

// finish loads what no child got to and proves that the catalogue is whole.
func (c *crasher) finish(ctx context.Context) (*proof, error) {
	db, err := open(ctx, c.dir, crashConfig)
	if err != nil {
		return nil, err
	}
	found, err := c.complete(ctx, db)
	if err := closeAfter(ctx, db, err); err != nil {
		return nil, err
	}
	p := prove(c.dataset, found, c.acknowledged)
	if n := len(c.dataset.packages); p.packages != n {
		p.find("%d of %d packages are there after loading the rest", p.packages, n)
	}
	return p, nil
}

func (c *crasher) complete(ctx context.Context, db *aedb.DB) (*contents, error) {
	app, err := define(ctx, db)
	if err != nil {
		return nil, err
	}
	missing, err := missingPackages(ctx, app, c.dataset)
	if err != nil {
		return nil, err
	}
	if err := load(ctx, app, missing, c.callers, func(*pack, aedb.Result) error { return nil }); err != nil {
		return nil, err
	}
	return readContents(ctx, db)
}

// crash prints what came of one kill.
func (s *screen) crash(number int, c crash) {
	from := plural(c.recovery.Commits, "commit") + " of log"
	if c.recovery.CheckpointFile != "" {
		from = "checkpoint at " + grouped(c.recovery.CheckpointSeq) + ", then " + from
	}
	torn := "no torn end"
	if c.recovery.Torn.Bytes > 0 {
		torn = size(c.recovery.Torn.Bytes) + " of torn end"
	}
	p := c.proof
	s.lines(
		fmt.Sprintf("  %s    the child was killed after it had reported %s", s.bold(fmt.Sprintf("kill %d", number)), plural(c.acknowledged, "durable commit")),
		fmt.Sprintf("  %s opened in %s: %s, %s", s.faint("recovery "), s.bold(brief(c.took)), from, torn),
		fmt.Sprintf("  %s %s of %s acknowledged packages there, %s besides, %s", s.faint("proof    "),
			grouped(p.packages-p.survivors), grouped(p.acknowledged), plural(p.survivors, "other"), s.verdict(p)),
		"")
}

func (s *screen) verdict(p *proof) string {
	if len(p.findings) > 0 {
		return "WRONG: " + plural(len(p.findings), "finding")
	}
	return s.good("all equal")
}

// crashTable prints the part of the closing report that is about crashes.
func (s *screen) crashTable(all []crash) {
	var rows []table.Row
	for i, c := range all {
		p := c.proof
		rows = append(rows, table.Row{
			i + 1, grouped(c.acknowledged), grouped(p.acknowledged), grouped(p.packages - p.survivors),
			p.survivors, len(p.findings), brief(c.took),
		})
	}
	s.table(table.Row{"crash", "acknowledged", "so far", "of these found", "others found", "wrong", "recovery"},
		rows, 1, 2, 3, 4, 5, 6, 7)
}
