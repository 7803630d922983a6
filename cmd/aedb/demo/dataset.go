package demo

import (
	"cmp"
	"compress/gzip"
	"embed"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	aedb "github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/errs"
)

//go:embed data/packages.tsv.gz data/dependencies.tsv.gz
var files embed.FS

// dataset is the catalogue that the demo loads, as rows of the demo's tables.
// Nothing changes it once it is read, so goroutines share it.
type dataset struct {
	packages     []pack // by id
	dependencies int    // of all packages
}

// pack is one package of the catalogue with all its dependencies: the unit that
// one commit writes.
type pack struct {
	row          aedb.Row
	dependencies []aedb.Row // by primary key
}

func (p *pack) id() int64       { return p.row[0].AsInt() }
func (p *pack) name() string    { return p.row[1].AsText() }
func (p *pack) version() string { return p.row[2].AsText() }

// readDataset decodes the embedded catalogue. A positive most keeps only so many
// packages, with their dependencies.
func readDataset(most int) (*dataset, error) {
	d := &dataset{}
	place := map[int64]int{}
	err := eachRecord("data/packages.tsv.gz", 12, func(f []string) error {
		if most > 0 && len(d.packages) == most {
			return nil
		}
		row, err := packageRow(f)
		if err != nil {
			return err
		}
		place[row[0].AsInt()] = len(d.packages)
		d.packages = append(d.packages, pack{row: row})
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = eachRecord("data/dependencies.tsv.gz", 7, func(f []string) error {
		row, err := dependencyRow(f)
		if err != nil {
			return err
		}
		i, ok := place[row[0].AsInt()]
		switch {
		case ok:
			p := &d.packages[i]
			p.dependencies = append(p.dependencies, row)
			d.dependencies++
		case most <= 0:
			return fmt.Errorf("no package has the id %d", row[0].AsInt())
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for i := range d.packages {
		slices.SortFunc(d.packages[i].dependencies, byKindAndOrdinal)
	}
	return d, nil
}

// byKindAndOrdinal is the order of the primary key among the dependencies of one
// package.
func byKindAndOrdinal(a, b aedb.Row) int {
	return cmp.Or(cmp.Compare(a[1].AsText(), b[1].AsText()), cmp.Compare(a[2].AsInt(), b[2].AsInt()))
}

// packageRow makes a row of the table packages.
func packageRow(f []string) (aedb.Row, error) {
	id, err1 := strconv.ParseInt(f[0], 10, 64)
	installed, err2 := strconv.ParseInt(f[7], 10, 64)
	download, err3 := strconv.ParseInt(f[8], 10, 64)
	sum, err4 := hex.DecodeString(f[11])
	return aedb.Row{
		aedb.Int(id), aedb.Text(f[1]), aedb.Text(f[2]), aedb.Text(f[3]), aedb.Text(f[4]), aedb.Text(f[5]),
		aedb.Text(f[6]), aedb.Int(installed), aedb.Int(download), optional(f[9]), aedb.Text(f[10]), aedb.Blob(sum),
	}, errors.Join(err1, err2, err3, err4)
}

// dependencyRow makes a row of the table dependencies.
func dependencyRow(f []string) (aedb.Row, error) {
	id, err1 := strconv.ParseInt(f[0], 10, 64)
	ordinal, err2 := strconv.ParseInt(f[2], 10, 64)
	alternative, err3 := strconv.ParseInt(f[3], 10, 64)
	return aedb.Row{
		aedb.Int(id), aedb.Text(f[1]), aedb.Int(ordinal), aedb.Int(alternative),
		aedb.Text(f[4]), optional(f[5]), optional(f[6]),
	}, errors.Join(err1, err2, err3)
}

func optional(s string) aedb.Value {
	if s == "" {
		return aedb.Null()
	}
	return aedb.Text(s)
}

// eachRecord calls a function with the fields of each record of an embedded file
// but the header.
func eachRecord(name string, fields int, fn func([]string) error) error {
	f, err := files.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return errs.Wrap(errs.CodeDecode, err, "read %s", name).On(name)
	}
	r := csv.NewReader(z)
	r.Comma = '\t'
	r.FieldsPerRecord = fields
	r.ReuseRecord = true
	for header := true; ; header = false {
		record, err := r.Read()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return errs.Wrap(errs.CodeDecode, err, "read %s", name).On(name)
		}
		if header {
			continue
		}
		if err := fn(record); err != nil {
			line, _ := r.FieldPos(0)
			return errs.Wrap(errs.CodeDecode, err, "%s, line %d", name, line).On(name)
		}
	}
}
