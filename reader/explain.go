package reader

import (
	"fmt"

	"github.com/empyrealapp/aedb-go/query"
)

// Evaluation says by which path the rows of a condition are found.
type Evaluation string

// Evaluations.
const (
	EvaluateNone        Evaluation = "None"
	EvaluateByKey       Evaluation = "PrimaryKeyEqLookup"
	EvaluateByKeyPrefix Evaluation = "PrimaryKeyPrefixScan"
	EvaluateByKeyRange  Evaluation = "PrimaryKeyRangeScan"
	EvaluateBySecondary Evaluation = "SecondaryIndexLookup"
	EvaluateByFullScan  Evaluation = "FullScanFilter"
)

// Stages of an execution, in their order.
const (
	StageScan    = "Scan"
	StageFilter  = "Filter"
	StageSort    = "Sort"
	StageProject = "Project"
	StageLimit   = "Limit"
)

// Explanation tells how a query is executed.
type Explanation struct {
	SnapshotSeq uint64
	MaxScanRows int
	// EstimatedScanRows is an upper bound: the rows of the table, or fewer if
	// the path names single rows.
	EstimatedScanRows int
	// IndexUsed is the name of the index that is read, or "" for the primary
	// key; SelectedIndexes lists it.
	IndexUsed       string
	SelectedIndexes []string
	Evaluation      Evaluation
	// Trace says in words what was chosen. It is never empty.
	Trace []string
	// Stages leave out Filter if the path enforces the whole condition, and Sort
	// if it has the order.
	Stages []string
	// BoundedByLimitOrCursor is whether a limit or a cursor bounds the rows.
	BoundedByLimitOrCursor bool
}

// Explain returns the plan that Query would execute, without reading a row. Its
// errors are those that Query finds before it reads.
func Explain(src Source, req Request) (Explanation, error) {
	var p plan
	if err := p.make(src, &req, true); err != nil {
		return Explanation{}, err
	}
	e := Explanation{
		SnapshotSeq:            src.Seq(),
		MaxScanRows:            p.options.MaxScanRows,
		EstimatedScanRows:      src.Len(p.table.ID),
		Evaluation:             p.evaluation(),
		Stages:                 p.stages(&req.Query),
		BoundedByLimitOrCursor: p.bounded,
	}
	if p.path.points {
		e.EstimatedScanRows = min(e.EstimatedScanRows, len(p.path.ranges))
	}
	if x := p.path.index; x != nil {
		e.IndexUsed, e.SelectedIndexes = x.Name, []string{x.Name}
	}
	e.Trace = p.trace(e.EstimatedScanRows)
	return e, nil
}

func (p *plan) evaluation() Evaluation {
	bound := len(p.path.bound)
	switch {
	case !p.condition:
		return EvaluateNone
	case p.path.index != nil && bound > 0:
		return EvaluateBySecondary
	case bound == 0:
		return EvaluateByFullScan
	case p.path.points && len(p.path.ranges) <= 1:
		return EvaluateByKey
	case len(p.path.pinned) == bound:
		return EvaluateByKeyPrefix
	}
	return EvaluateByKeyRange
}

func (p *plan) stages(q *query.Query) []string {
	stages := []string{StageScan}
	if p.path.rest != nil {
		stages = append(stages, StageFilter)
	}
	if p.path.sort {
		stages = append(stages, StageSort)
	}
	if len(q.Columns) > 0 && q.Columns[0] != "*" {
		stages = append(stages, StageProject)
	}
	if q.Window.Limited {
		stages = append(stages, StageLimit)
	}
	return stages
}

func (p *plan) trace(rows int) []string {
	through := "primary key of table " + p.table.Name
	if x := p.path.index; x != nil {
		through = "index " + x.Name + " of table " + p.table.Name
	}
	names := make([]string, len(p.path.bound))
	for i, position := range p.path.bound {
		names[i] = p.table.Columns[position].Name
	}
	lines := []string{fmt.Sprintf("read through %s, %d ranges on %v, about %.0f of %d rows",
		through, len(p.path.ranges), names, p.path.visits, rows)}
	if p.path.covered {
		lines = append(lines, "the index holds all columns needed; no row is fetched")
	}
	switch {
	case p.path.sort:
		lines = append(lines, "sort, because the path has another order")
	case p.path.way.group > 0:
		lines = append(lines, "read backward, group by group, which is the order asked for")
	case p.path.way.backward:
		lines = append(lines, "read backward, which is the order asked for")
	case len(p.order) > 0:
		lines = append(lines, "read forward, which is the order asked for")
	}
	if p.path.rest != nil {
		lines = append(lines, "check what the ranges do not enforce of the condition")
	}
	return lines
}
