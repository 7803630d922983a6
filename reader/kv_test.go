package reader

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/record"
	"github.com/empyrealapp/aedb-go/state"
)

// keys returns an image whose scope "app" holds n keys k000, k001, ...
func keys(n int) (*state.Image, *catalog.Scope) {
	s := newStore()
	scope, err := s.w.Catalog().Scope(project, catalog.DefaultScope)
	if err != nil {
		panic(err)
	}
	for i := range n {
		s.w.Put(scope.ID, fmt.Appendf(nil, "k%03d", i), record.AppendKV(nil, 1, fmt.Appendf(nil, "v%d", i)))
	}
	return s.image(), scope
}

func scanned(t *testing.T, src Source, rec Recorder, scope *catalog.Scope, r Range) (out []string) {
	for e, err := range ScanKV(context.Background(), src, rec, scope, r) {
		require.NoError(t, err)
		out = append(out, string(e.Key))
	}
	return out
}

func TestGetKVReturnsTheEntryOrNothing(t *testing.T) {
	src, scope := keys(3)
	var f footprint
	e, ok, err := GetKV(src, &f, scope, []byte("k001"))
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, Entry{Key: []byte("k001"), Value: []byte("v1"), Version: 1, Created: 1}, e)
	_, ok, err = GetKV(src, &f, scope, []byte("nope"))
	require.NoError(t, err)
	require.False(t, ok)
	require.Len(t, f.points, 2, "an absent key was read too")
}

func TestManyEntriesAreReadAsOneIs(t *testing.T) {
	img, scope := keys(50)
	var wanted [][]byte
	for i := range 60 { // some are not there, some are asked for twice
		wanted = append(wanted, fmt.Appendf(nil, "k%03d", i*7%60))
	}
	var f footprint
	got := map[int]Entry{}
	require.NoError(t, GetManyKV(context.Background(), img, &f, scope, wanted, func(i int, e Entry) { got[i] = e }))
	require.Len(t, f.points, len(wanted))
	for i, key := range wanted {
		e, ok, err := GetKV(img, nil, scope, key)
		require.NoError(t, err)
		other, found := got[i]
		require.Equal(t, ok, found)
		require.Equal(t, e, other)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	err := GetManyKV(ctx, img, nil, scope, wanted, func(int, Entry) { t.Error("an entry of a canceled read") })
	require.ErrorIs(t, err, errs.ErrCanceled)
}

func TestScanKVHonoursBoundsPrefixOrderAndLimit(t *testing.T) {
	src, scope := keys(30)
	b := func(s string) []byte { return []byte(s) }
	for name, c := range map[string]struct {
		r    Range
		want []string
	}{
		"half-open":      {Range{Start: b("k003"), End: b("k006")}, []string{"k003", "k004", "k005"}},
		"other bounds":   {Range{Start: b("k003"), StartExcluded: true, End: b("k006"), EndIncluded: true}, []string{"k004", "k005", "k006"}},
		"from a key":     {Range{Start: b("k028")}, []string{"k028", "k029"}},
		"start over end": {Range{Start: b("k006"), End: b("k003")}, nil},
		"prefix":         {Range{Prefix: b("k02"), Limit: 2}, []string{"k020", "k021"}},
		"prefix, range":  {Range{Prefix: b("k02"), Start: b("k01"), End: b("k022")}, []string{"k020", "k021"}},
		"reverse":        {Range{Reverse: true, Limit: 2}, []string{"k029", "k028"}},
		"reverse range":  {Range{Reverse: true, Start: b("k003"), End: b("k006")}, []string{"k005", "k004", "k003"}},
		"nothing there":  {Range{Prefix: b("x")}, nil},
	} {
		require.Equal(t, c.want, scanned(t, src, nil, scope, c.r), name)
	}
	require.Len(t, scanned(t, src, nil, scope, Range{}), 30)
	for e, err := range ScanKV(context.Background(), src, nil, scope, Range{KeysOnly: true}) {
		require.NoError(t, err)
		require.Nil(t, e.Value)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, err := range ScanKV(ctx, src, nil, scope, Range{}) {
		require.ErrorIs(t, err, context.Canceled)
	}
}

func TestScanKVRecordsWhatItExamined(t *testing.T) {
	src, scope := keys(30)
	var f footprint
	scanned(t, src, &f, scope, Range{Prefix: []byte("k01"), Limit: 2})
	require.Equal(t, KeyRange{[]byte("k01"), []byte("k011\x00")}, f.ranges[0].KeyRange)
	f = footprint{}
	scanned(t, src, &f, scope, Range{Prefix: []byte("k01")})
	require.Equal(t, KeyRange{[]byte("k01"), []byte("k02")}, f.ranges[0].KeyRange)
	f = footprint{}
	scanned(t, src, &f, scope, Range{Reverse: true, Limit: 1})
	require.Equal(t, KeyRange{Start: []byte("k029")}, f.ranges[0].KeyRange)
}

func TestPagesOfARangeShowEachKeyOnce(t *testing.T) {
	src, scope := keys(25)
	for _, reverse := range []bool{false, true} {
		for _, size := range []int{1, 4, 24, 25, 26} {
			req := PageRequest{Range: Range{Prefix: []byte("k"), Reverse: reverse, Limit: size}, Sealer: testSealer(t), Caller: "a"}
			var got [][]byte
			for {
				p, err := PageKV(context.Background(), src, nil, scope, req)
				require.NoError(t, err)
				require.Equal(t, p.Truncated, p.Cursor != "")
				require.EqualValues(t, 1, p.SnapshotSeq)
				for _, e := range p.Entries {
					got = append(got, e.Key)
				}
				if req.Cursor = p.Cursor; p.Cursor == "" {
					break
				}
			}
			require.Len(t, got, 25)
			for i := 1; i < len(got); i++ {
				require.Equal(t, reverse, bytes.Compare(got[i-1], got[i]) > 0)
			}
		}
	}
}

func TestACursorOfARangeIsBoundToIt(t *testing.T) {
	src, scope := keys(25)
	req := PageRequest{Range: Range{Prefix: []byte("k"), Limit: 3}, Sealer: testSealer(t), MaxRows: 2}
	p, err := PageKV(context.Background(), src, nil, scope, req)
	require.NoError(t, err)
	require.Len(t, p.Entries, 2)
	req.Cursor = p.Cursor
	for name, change := range map[string]func(*PageRequest){
		"prefix":  func(r *PageRequest) { r.Range.Prefix = []byte("k0") },
		"reverse": func(r *PageRequest) { r.Range.Reverse = true },
		"caller":  func(r *PageRequest) { r.Caller = "b" },
		"cursor":  func(r *PageRequest) { r.Cursor = r.Cursor[2:] },
		"sealer":  func(r *PageRequest) { r.Sealer = nil },
	} {
		r := req
		change(&r)
		_, err := PageKV(context.Background(), src, nil, scope, r)
		require.ErrorIs(t, err, errs.ErrInvalidCursor, name)
	}
	req.Range.Limit = 0
	_, err = PageKV(context.Background(), src, nil, scope, req)
	require.ErrorIs(t, err, errs.ErrValidation)
}
