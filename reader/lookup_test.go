package reader

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/blocktree"
	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/query"
	"github.com/empyrealapp/aedb-go/value"
)

// watched is a source that counts the rows that are looked up, and does not find
// one of them.
type watched struct {
	Source
	lookedUp int
	missing  string
}

func (w *watched) GetMany(space catalog.SpaceID, keys [][]byte, found []blocktree.Entry) {
	w.lookedUp += len(keys)
	w.Source.GetMany(space, keys, found)
	for i, key := range keys {
		if string(key) == w.missing {
			found[i] = blocktree.Entry{}
		}
	}
}

// byName asks for rows of fixture U through an index, in the order of their names.
func byName() query.Query {
	return query.Select().From("users").Where(query.Gte("name", "u")).OrderBy("name", query.Asc).UseIndex("by_name")
}

func TestRowsBehindAnIndexAreLookedUpAhead(t *testing.T) {
	for _, c := range []struct {
		name           string
		query          query.Query
		rec            Recorder
		take           int // rows until the caller has enough
		rows, lookedUp int
	}{
		{"all", byName(), nil, 1000, 100, 100},
		{"up to a limit", byName().Limit(20), nil, 1000, 20, 20},
		{"behind an offset", byName().Limit(20).Offset(30), nil, 1000, 20, 20},
		{"of a caller with enough", byName(), nil, 3, 3, lookupsAtOnce},
		{"to be filtered", byName().Where(query.Eq("email", "u7@example.com")), nil, 1000, 1, 100},
		{"for a recorder, one by one", byName(), new(footprint), 3, 3, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			src := &watched{Source: fixtureU()}
			n := 0
			for _, err := range Stream(context.Background(), src, c.rec, request(t, c.query)) {
				require.NoError(t, err)
				if n++; n == c.take {
					break
				}
			}
			require.Equal(t, c.rows, n)
			require.Equal(t, c.lookedUp, src.lookedUp)
		})
	}
}

func TestARowThatIsMissingEndsAQueryInItsPlace(t *testing.T) {
	src := &watched{Source: fixtureU()}
	all := ids(run(t, src, byName()).Rows)
	for _, at := range []int{0, 1, lookupsAtOnce - 1, lookupsAtOnce, 40} {
		src.missing = string(value.AppendKey(nil, value.Int(all[at])))
		var seen []value.Row
		var failure error
		for row, err := range Stream(context.Background(), src, nil, request(t, byName())) {
			require.NoError(t, failure, "nothing comes behind an error")
			if failure = err; err == nil {
				seen = append(seen, row)
			}
		}
		require.ErrorIs(t, failure, errs.ErrIntegrity)
		require.Len(t, seen, at)
		if at > 0 {
			require.Equal(t, all[:at], ids(seen))
		}
	}
}

func TestACanceledQueryEndsOnce(t *testing.T) {
	u := users(2*checkEvery, index("by_age", "age"))
	q := query.Select().From("users").Where(query.In("age", 20, 30, 40, 50)).UseIndex("by_age")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	failures := 0
	for row, err := range Stream(ctx, u, nil, request(t, q)) {
		require.Nil(t, row)
		require.Error(t, err)
		failures++
	}
	require.Equal(t, 1, failures)

	ctx, cancel = context.WithCancel(context.Background())
	defer cancel()
	q = query.Select().From("users").Where(query.Gte("age", 0)).UseIndex("by_age")
	rows, failures := 0, 0
	for _, err := range Stream(ctx, u, nil, request(t, q)) {
		if err != nil {
			failures++
			continue
		}
		rows++
		cancel()
	}
	require.Equal(t, 1, failures)
	require.Less(t, rows, 2*checkEvery)
}
