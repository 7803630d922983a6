package demo

import (
	"context"
	"encoding/binary"

	aedb "github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/query"
)

// contents is everything that a store holds of the catalogue, at one snapshot.
type contents struct {
	packages     map[int64]aedb.Row
	dependencies map[int64][]aedb.Row // by primary key within each package
	versions     map[string]versionEntry
	counters     map[string]uint64
	indexes      []indexContents
}

// versionEntry is the key-value entry of a package: the text, and the commit
// that wrote it.
type versionEntry struct {
	text string
	seq  uint64
}

// indexContents is what an index by itself says, without a look at its table.
type indexContents struct {
	table string
	name  string
	// columns are the indexed one and then those of the primary key, as positions
	// in a row of the table.
	columns []int
	// entries have a value for each of columns, in the order of the index.
	entries []aedb.Row
}

// readContents reads the store through the front door: tables by primary key,
// each index from its first entry to its last, and the key-value space.
func readContents(ctx context.Context, db *aedb.DB) (*contents, error) {
	tx, err := db.NoAuth().BeginRead(ctx, aedb.AtLatest)
	if err != nil {
		return nil, err
	}
	defer tx.Close()
	v := tx.Scope(project, scope)
	c := &contents{
		packages: map[int64]aedb.Row{}, dependencies: map[int64][]aedb.Row{},
		versions: map[string]versionEntry{}, counters: map[string]uint64{},
	}
	for row, err := range v.Rows(ctx, query.Select().From("packages").OrderBy("id", query.Asc), aedb.AllowFullScan()) {
		if err != nil {
			return nil, err
		}
		c.packages[row[0].AsInt()] = row
	}
	byKey := query.Select().From("dependencies").
		OrderBy("package_id", query.Asc).OrderBy("kind", query.Asc).OrderBy("ordinal", query.Asc)
	for row, err := range v.Rows(ctx, byKey, aedb.AllowFullScan()) {
		if err != nil {
			return nil, err
		}
		id := row[0].AsInt()
		c.dependencies[id] = append(c.dependencies[id], row)
	}
	for e, err := range v.KV().Prefix(ctx, []byte(versionPrefix)) {
		if err != nil {
			return nil, err
		}
		c.versions[string(e.Key[len(versionPrefix):])] = versionEntry{string(e.Value), e.Version}
	}
	for _, key := range [][]byte{packageCount, dependencyCount} {
		if c.counters[string(key)], err = readCounter(ctx, v.KV(), key); err != nil {
			return nil, err
		}
	}
	for _, table := range []struct {
		name string
		spec aedb.TableSpec
	}{{"packages", packagesTable()}, {"dependencies", dependenciesTable()}} {
		for _, index := range table.spec.Indexes {
			x, err := readIndex(ctx, v, table.name, table.spec, index)
			if err != nil {
				return nil, err
			}
			c.indexes = append(c.indexes, x)
		}
	}
	return c, nil
}

// readIndex reads all entries of an index of one column. The query asks for
// nothing that the index lacks, so that no row is fetched.
func readIndex(ctx context.Context, v *aedb.View, table string, spec aedb.TableSpec, index aedb.IndexSpec) (indexContents, error) {
	names := append([]string{index.Columns[0]}, spec.PrimaryKey...)
	x := indexContents{table: table, name: index.Name}
	for _, name := range names {
		for i, c := range spec.Columns {
			if c.Name == name {
				x.columns = append(x.columns, i)
			}
		}
	}
	q := query.Select(names...).From(table).OrderBy(names[0], query.Asc).UseIndex(index.Name)
	for row, err := range v.Rows(ctx, q, aedb.AllowFullScan()) {
		if err != nil {
			return x, err
		}
		x.entries = append(x.entries, row)
	}
	return x, nil
}

// readCounter returns a number of the key-value space; a key that is not there
// counts as 0.
func readCounter(ctx context.Context, kv aedb.KV, key []byte) (uint64, error) {
	e, ok, err := kv.Get(ctx, key)
	if err != nil || !ok {
		return 0, err
	}
	if len(e.Value) != 8 {
		return 0, wrong("the counter %s has %d bytes, not 8", key, len(e.Value))
	}
	return binary.BigEndian.Uint64(e.Value), nil
}
