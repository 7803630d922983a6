package demo

import (
	"fmt"
	"maps"
	"slices"

	aedb "github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/value"
)

// proof is the result of comparing a store with the catalogue.
type proof struct {
	// acknowledged packages, all of which must be there, and those that are there
	// without an acknowledgement, which is allowed.
	acknowledged, survivors int
	packages, dependencies  int
	indexEntries            int
	fields                  int // values of rows that were compared
	// findings say what is wrong; none if the proof holds.
	findings []string
}

// err is nil if the proof holds, and else one line that names the first finding.
func (p *proof) err() error {
	switch n := len(p.findings); n {
	case 0:
		return nil
	case 1:
		return wrong("the proof failed: %s", p.findings[0])
	default:
		return wrong("the proof failed: %s (and %d more findings)", p.findings[0], n-1)
	}
}

func (p *proof) find(format string, args ...any) {
	p.findings = append(p.findings, fmt.Sprintf(format, args...))
}

// prove compares the contents of a store with the catalogue. acknowledged are
// the packages that were promised to be durable, by id, with their commits. The
// proof holds if
//
//   - each acknowledged package is there, from the commit it was promised in;
//   - each package that is there equals its source in every field, and so do all
//     its dependencies and its key; of any other package there is nothing;
//   - the counters agree with the rows;
//   - each index has exactly one entry for each row, in order.
func prove(d *dataset, c *contents, acknowledged map[int64]uint64) *proof {
	p := &proof{acknowledged: len(acknowledged), packages: len(c.packages)}
	known, names := map[int64]bool{}, map[string]bool{}
	for i := range d.packages {
		source := &d.packages[i]
		known[source.id()], names[source.name()] = true, true
		seq, promised := acknowledged[source.id()]
		if _, there := c.packages[source.id()]; there {
			p.present(source, c, seq)
			if !promised {
				p.survivors++
			}
		} else {
			p.absent(source, c, seq)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(c.packages)) {
		if !known[id] {
			p.find("package %d is not in the catalogue", id)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(c.dependencies)) {
		rows := c.dependencies[id]
		p.dependencies += len(rows)
		if !known[id] {
			p.find("package %d, which is not in the catalogue, has %s", id, plural(len(rows), "dependency"))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.versions)) {
		if !names[name] {
			p.find("package %s, which is not in the catalogue, has a key", name)
		}
	}
	p.counter(c, packageCount, p.packages)
	p.counter(c, dependencyCount, p.dependencies)
	for i := range c.indexes {
		p.index(&c.indexes[i], c)
	}
	return p
}

// present checks a package whose row is there. seq is 0 if it was not
// acknowledged.
func (p *proof) present(source *pack, c *contents, seq uint64) {
	id, name := source.id(), source.name()
	p.row(source.row, c.packages[id], packagesTable(), "package "+name)
	found := c.dependencies[id]
	if len(found) != len(source.dependencies) {
		p.find("package %s is partial: %d of %d dependencies", name, len(found), len(source.dependencies))
	} else {
		for i, row := range source.dependencies {
			p.row(row, found[i], dependenciesTable(), fmt.Sprintf("dependency %d of package %s", i+1, name))
		}
	}
	version, ok := c.versions[name]
	switch {
	case !ok:
		p.find("package %s is partial: its key is missing", name)
	case version.text != source.version():
		p.find("package %s: its key is %q, not %q", name, version.text, source.version())
	case seq != 0 && version.seq != seq:
		p.find("package %s was acknowledged as commit %d and is from commit %d", name, seq, version.seq)
	}
}

// absent checks a package whose row is not there.
func (p *proof) absent(source *pack, c *contents, seq uint64) {
	id, name := source.id(), source.name()
	if seq != 0 {
		p.find("package %s was acknowledged as commit %d and is missing", name, seq)
	}
	if n := len(c.dependencies[id]); n > 0 {
		p.find("package %s is partial: %s without their package", name, plural(n, "dependency"))
	}
	if _, ok := c.versions[name]; ok {
		p.find("package %s is partial: a key without its package", name)
	}
}

// row compares a row with its source, field by field.
func (p *proof) row(source, found aedb.Row, spec aedb.TableSpec, what string) {
	for i, c := range spec.Columns {
		p.fields++
		if source[i] != found[i] {
			p.find("%s: %s is %s, not %s", what, c.Name, found[i], source[i])
		}
	}
}

func (p *proof) counter(c *contents, key []byte, rows int) {
	if n := c.counters[string(key)]; n != uint64(rows) {
		p.find("the counter %s is %d, and there are %d rows", key, n, rows)
	}
}

// index compares the entries of an index with those that the rows of its table
// call for.
func (p *proof) index(x *indexContents, c *contents) {
	var want []aedb.Row
	add := func(row aedb.Row) {
		entry := make(aedb.Row, len(x.columns))
		for i, column := range x.columns {
			entry[i] = row[column]
		}
		want = append(want, entry)
	}
	if x.table == "packages" {
		for _, row := range c.packages {
			add(row)
		}
	} else {
		for _, rows := range c.dependencies {
			for _, row := range rows {
				add(row)
			}
		}
	}
	slices.SortFunc(want, compareRows)
	p.indexEntries += len(x.entries)
	if len(x.entries) != len(want) {
		p.find("index %s of %s has %d entries for %d rows", x.name, x.table, len(x.entries), len(want))
		return
	}
	for i, entry := range x.entries {
		if compareRows(entry, want[i]) != 0 {
			p.find("index %s of %s has %s where the rows call for %s", x.name, x.table, entry, want[i])
			return
		}
	}
}

func compareRows(a, b aedb.Row) int { return slices.CompareFunc(a, b, value.Compare) }
