package aedb

import (
	"slices"

	"github.com/empyrealapp/aedb-go/catalog"
)

// ProjectInfo describes a project.
type ProjectInfo struct {
	Name          string
	Scopes        int
	CreatedMicros int64
}

// ScopeInfo describes a scope.
type ScopeInfo struct {
	Name          string
	Tables        int
	Keys          int // in the key-value space
	CreatedMicros int64
}

// TableInfo describes a table.
type TableInfo struct {
	Name          string
	Columns       []ColumnSpec
	PrimaryKey    []string
	Indexes       []IndexInfo
	Rows          int
	CreatedMicros int64
	// Managed tables are written by the engine only.
	Managed bool
}

// IndexInfo describes an index.
type IndexInfo struct {
	IndexSpec
	Entries int
}

// Projects lists all projects by name, at the latest snapshot.
func (s *ReadSession) Projects() ([]ProjectInfo, error) {
	src, err := s.latest()
	if err != nil {
		return nil, err
	}
	var out []ProjectInfo
	for p := range src.Catalog().Projects() {
		scopes := slices.Collect(src.Catalog().Scopes(p))
		out = append(out, ProjectInfo{Name: p.Name, Scopes: len(scopes), CreatedMicros: p.CreatedMicros})
	}
	return out, nil
}

// Scopes lists the scopes of a project by name.
func (s *ReadSession) Scopes(project string) ([]ScopeInfo, error) {
	src, err := s.latest()
	if err != nil {
		return nil, err
	}
	p, err := src.Catalog().Project(project)
	if err != nil {
		return nil, err
	}
	var out []ScopeInfo
	for sc := range src.Catalog().Scopes(p) {
		tables := slices.Collect(src.Catalog().Tables(sc))
		out = append(out, ScopeInfo{Name: sc.Name, Tables: len(tables), Keys: src.Len(sc.ID), CreatedMicros: sc.CreatedMicros})
	}
	return out, nil
}

// Tables describes the tables of the scope, by name.
func (s *ReadScope) Tables() ([]TableInfo, error) {
	src, err := s.session.latest()
	if err != nil {
		return nil, err
	}
	sc, err := src.Catalog().Scope(s.project, s.scope)
	if err != nil {
		return nil, err
	}
	var out []TableInfo
	for t := range src.Catalog().Tables(sc) {
		out = append(out, describe(src, t))
	}
	return out, nil
}

// Describe returns the description of one table.
func (s *ReadScope) Describe(table string) (TableInfo, error) {
	src, err := s.session.latest()
	if err != nil {
		return TableInfo{}, err
	}
	t, err := src.Catalog().Table(s.project, s.scope, table)
	if err != nil {
		return TableInfo{}, err
	}
	return describe(src, t), nil
}

func (s *ReadSession) latest() (snapshot, error) {
	image, err := s.image(AtLatest)
	return snapshot{Source: image, image: image}, err
}

func describe(src snapshot, t *catalog.Table) TableInfo {
	info := TableInfo{
		Name: t.Name, Rows: src.Len(t.ID), CreatedMicros: t.CreatedMicros, Managed: t.Managed,
		PrimaryKey: names(t, t.PrimaryKey),
	}
	for _, c := range t.Columns {
		info.Columns = append(info.Columns, ColumnSpec{Name: c.Name, Kind: c.Kind, Nullable: c.Nullable, Default: c.Default})
	}
	for _, x := range t.Indexes {
		info.Indexes = append(info.Indexes, IndexInfo{
			IndexSpec: IndexSpec{Name: x.Name, Columns: names(t, x.Columns), Unique: x.Unique},
			Entries:   src.Len(x.ID),
		})
	}
	return info
}

func names(t *catalog.Table, positions []int) []string {
	out := make([]string, len(positions))
	for i, p := range positions {
		out[i] = t.Columns[p].Name
	}
	return out
}
