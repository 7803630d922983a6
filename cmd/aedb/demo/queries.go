package demo

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	aedb "github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/query"
)

// repeats is how often each read is timed; the median is shown.
const repeats = 101

// question is a read of a table with the words around it.
type question struct {
	asks   string
	source string // the query as one would write it
	query  query.Query
	answer func(aedb.QueryResult) string
}

// questions are the queries of the demo about one package.
func questions(p *pack) []question {
	section := p.row[3].AsText()
	return []question{
		{
			asks:   "One package by its primary key",
			source: fmt.Sprintf("packages where id = %d", p.id()),
			query:  query.Select("name", "version", "summary").From("packages").Where(query.Eq("id", p.id())),
			answer: func(r aedb.QueryResult) string { return first(r, " ") },
		},
		{
			asks:   "The same package by its name, through a unique index",
			source: fmt.Sprintf("packages where name = '%s'", p.name()),
			query:  query.Select("id", "section", "homepage").From("packages").Where(query.Eq("name", p.name())),
			answer: func(r aedb.QueryResult) string { return first(r, ", ") },
		},
		{
			asks:   "The five largest packages of its section",
			source: fmt.Sprintf("packages where section = '%s' order by installed_kib desc limit 5", section),
			query: query.Select("name").From("packages").Where(query.Eq("section", section)).
				OrderBy("installed_kib", query.Desc).Limit(5),
			answer: func(r aedb.QueryResult) string { return listed(r, 5) },
		},
		{
			asks:   "Who depends on it: the relation read backward, through an index",
			source: fmt.Sprintf("dependencies where depends_on = '%s' limit 1000", p.name()),
			query: query.Select("package_id").From("dependencies").
				Where(query.Eq("depends_on", p.name())).Limit(1000),
			answer: func(r aedb.QueryResult) string {
				return fmt.Sprintf("%s, the first of package %s", plural(len(r.Rows), "dependency"), first(r, ""))
			},
		},
	}
}

// ask runs the queries and the key-value read and prints answers, plans and
// times. p has to be in the store, and to be depended on.
func ask(ctx context.Context, s *screen, app *aedb.Scope, p *pack) error {
	for _, q := range questions(p) {
		var result aedb.QueryResult
		took, err := median(func() (err error) {
			result, err = app.Query(ctx, q.query)
			return err
		})
		if err != nil {
			return during(err, "%s", q.source)
		}
		if len(result.Rows) == 0 {
			return wrong("%s: no rows", q.source)
		}
		plan, err := app.Explain(ctx, q.query)
		if err != nil {
			return during(err, "%s", q.source)
		}
		s.answer(q.asks, q.source, q.answer(result), pathOf(plan, result), took)
	}
	var n uint64
	took, err := median(func() (err error) {
		n, err = readCounter(ctx, app.KV(), downloadCount)
		return err
	})
	if err != nil {
		return err
	}
	s.answer("A counter in the key-value space beside the tables", string(downloadCount),
		plural(int(n), "download"), "one key", took)
	return nil
}

// change runs a serialisable transaction on a package and shows the state before
// and after it.
func change(ctx context.Context, db *aedb.DB, s *screen, app *aedb.Scope, p *pack) error {
	before := db.Heads().VisibleSeq
	began := time.Now()
	var downloads uint64
	result, err := app.Transact(ctx, func(tx *aedb.Tx) (err error) {
		if downloads, err = readCounter(ctx, tx.KV(), downloadKey(p.name())); err != nil {
			return err
		}
		return tx.UpdateFields("packages", []aedb.Value{p.row[0]}, aedb.Set("priority", aedb.Text("popular")))
	})
	if err != nil {
		return err
	}
	s.answer("A transaction: read, decide, write, as if alone in the store",
		fmt.Sprintf("read downloads/%s, then update packages set priority", p.name()),
		fmt.Sprintf("read %s; committed as %s", plural(int(downloads), "download"), grouped(result.CommitSeq)),
		"optimistic; would run again on a conflict", time.Since(began))

	q := query.Select("priority").From("packages").Where(query.Eq("id", p.id()))
	now, err := app.Query(ctx, q)
	if err != nil {
		return err
	}
	var then aedb.QueryResult
	took, err := median(func() (err error) {
		then, err = app.Query(ctx, q, aedb.At(aedb.AtSeq(before)))
		return err
	})
	if err != nil {
		return err
	}
	if first(now, "") != "popular" || first(then, "") != p.row[4].AsText() {
		return wrong("package %s has the priority %q now and %q at commit %d", p.name(), first(now, ""), first(then, ""), before)
	}
	s.answer("The past: the same row as it was one commit earlier",
		fmt.Sprintf("packages where id = %d, at commit %d", p.id(), before),
		fmt.Sprintf("priority %s then, %s now", first(then, ""), first(now, "")), "an older snapshot, still at hand", took)
	return nil
}

// answer prints one question and what came of it.
func (s *screen) answer(asks, source, found, path string, took time.Duration) {
	s.lines("  "+s.bold(asks),
		"    "+s.faint("asked  ")+source,
		"    "+s.faint("found  ")+clip(found, s.width-11),
		"    "+s.faint("how    ")+path+", "+s.good(brief(took)), "")
}

// pathOf says how the rows were found.
func pathOf(plan aedb.Explanation, r aedb.QueryResult) string {
	path := "primary key"
	if plan.IndexUsed != "" {
		path = "index " + plan.IndexUsed
	}
	path += ", " + plural(r.RowsExamined, "row") + " read"
	if slices.Contains(plan.Stages, "Sort") {
		path += ", sorted"
	}
	return path
}

// first joins the fields of the first row.
func first(r aedb.QueryResult, separator string) string {
	if len(r.Rows) == 0 {
		return "nothing"
	}
	var fields []string
	for _, v := range r.Rows[0] {
		fields = append(fields, plainText(v))
	}
	return strings.Join(fields, separator)
}

// listed joins the first field of the first rows.
func listed(r aedb.QueryResult, most int) string {
	var names []string
	for _, row := range r.Rows[:min(most, len(r.Rows))] {
		names = append(names, plainText(row[0]))
	}
	return strings.Join(names, ", ")
}

func plainText(v aedb.Value) string {
	if s := v.AsText(); s != "" {
		return s
	}
	return v.String()
}

func clip(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}

// median runs a read several times and returns the time in the middle.
func median(fn func() error) (time.Duration, error) {
	times := make([]time.Duration, repeats)
	for i := range times {
		began := time.Now()
		if err := fn(); err != nil {
			return 0, err
		}
		times[i] = time.Since(began)
	}
	slices.Sort(times)
	return times[repeats/2], nil
}
