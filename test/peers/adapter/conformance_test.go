package adapter_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/test/peers/adapter"
	"github.com/empyrealapp/aedb-go/test/peers/store"
)

// each runs a test on every peer that has a capability, at every level. The test
// can have the store closed and opened again.
func each[S store.Store](t *testing.T, test func(t *testing.T, s S, reopen func() S)) {
	for _, p := range adapter.All() {
		for level := range p.Levels {
			t.Run(fmt.Sprintf("%s/%s", p.Name, level), func(t *testing.T) {
				dir := t.TempDir()
				open := func() store.Store {
					s, err := p.Open(dir, level)
					require.NoError(t, err)
					return s
				}
				s := open()
				defer func() { require.NoError(t, s.Close()) }()
				capable, ok := s.(S)
				if !ok {
					t.Skip("cannot do it")
				}
				test(t, capable, func() S {
					if level == store.Memory {
						return s.(S)
					}
					require.NoError(t, s.Close())
					s = open()
					return s.(S)
				})
			})
		}
	}
}

// entries is a store whose entries can be written and read back.
type entries interface {
	store.PointStore
	store.BatchWriter
	store.ScanStore
	store.Counter
}

func get(t *testing.T, s store.ReadStore, key string) (string, error) {
	r, err := s.NewReader()
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Close()) }()
	val, err := r.Get([]byte(key), nil)
	return string(val), err
}

func TestEntriesAreReadAsTheyWereWrittenAndOutliveAClose(t *testing.T) {
	each(t, func(t *testing.T, s entries, reopen func() entries) {
		require.NoError(t, s.Put([]byte("a"), []byte("1")))
		require.NoError(t, s.Put([]byte("b"), []byte("2")))
		require.NoError(t, s.Put([]byte("b"), []byte("3")))
		require.NoError(t, s.PutBatch([][]byte{[]byte("c"), []byte("d")}, [][]byte{[]byte("4"), []byte("5")}))
		require.NoError(t, s.Delete([]byte("a")))
		for range 2 {
			val, err := get(t, s, "b")
			require.NoError(t, err)
			require.Equal(t, "3", val)
			_, err = get(t, s, "a")
			require.ErrorIs(t, err, store.ErrNotFound)
			n, err := s.Count()
			require.NoError(t, err)
			require.Equal(t, 3, n)
			s = reopen()
		}
	})
}

func TestAReaderSeesWhatWasAcknowledgedAfterItWasMade(t *testing.T) {
	each(t, func(t *testing.T, s entries, _ func() entries) {
		r, err := s.NewReader()
		require.NoError(t, err)
		for i := range 3 {
			require.NoError(t, s.Put([]byte("k"), fmt.Append(nil, i)))
			val, err := r.Get([]byte("k"), nil)
			require.NoError(t, err)
			require.Equal(t, fmt.Sprint(i), string(val))
		}
		require.NoError(t, r.Close())
	})
}

func TestScansVisitAPrefixInOrderUpToTheLimit(t *testing.T) {
	each(t, func(t *testing.T, s entries, _ func() entries) {
		for _, key := range []string{"p3", "q1", "p1", "o9", "p2", "p\xff"} {
			require.NoError(t, s.Put([]byte(key), []byte("v"+key)))
		}
		r, err := s.NewReader()
		require.NoError(t, err)
		for limit, want := range map[int][]string{0: {"p1", "p2", "p3", "p\xff"}, 2: {"p1", "p2"}} {
			var found []string
			require.NoError(t, r.(store.ScanReader).Scan([]byte("p"), limit, func(key, val []byte) {
				require.Equal(t, "v"+string(key), string(val))
				found = append(found, string(key))
			}))
			require.Equal(t, want, found)
		}
		require.NoError(t, r.Close())
	})
}

// bank is a store with accounts.
type bank interface {
	store.Transferer
	store.BatchWriter
	store.ReadStore
}

func TestConcurrentTransfersKeepTheSumAndNeverOverdraw(t *testing.T) {
	const accounts, callers, transfers = 4, 4, 10
	key := func(i int) []byte { return fmt.Appendf(nil, "account-%d", i%accounts) }
	each(t, func(t *testing.T, s bank, _ func() bank) {
		var keys, vals [][]byte
		for i := range accounts {
			keys, vals = append(keys, key(i)), append(vals, binary.BigEndian.AppendUint64(nil, 10))
		}
		require.NoError(t, s.PutBatch(keys, vals))
		require.ErrorIs(t, s.Transfer(key(0), key(1), 11), store.ErrPoor)
		var all sync.WaitGroup
		for c := range callers {
			all.Go(func() {
				for i := range transfers {
					err := s.Transfer(key(c+i), key(c+i+1+i%2), uint64(i%4))
					if err != nil && !errors.Is(err, store.ErrPoor) {
						t.Errorf("transfer %d of caller %d: %v", i, c, err)
					}
				}
			})
		}
		all.Wait()
		var sum uint64
		for i := range accounts {
			val, err := get(t, s, string(key(i)))
			require.NoError(t, err)
			sum += binary.BigEndian.Uint64([]byte(val))
		}
		require.EqualValues(t, 10*accounts, sum)
	})
}

func TestRowsAreFoundByKeyAndThroughBothIndexes(t *testing.T) {
	make := func(id int64) store.Row {
		return store.Row{ID: id, Owner: fmt.Sprintf("owner-%d", id%3), Amount: 100 - id, Active: id%2 == 0, Note: fmt.Sprint("note ", id)}
	}
	each(t, func(t *testing.T, s store.RowStore, reopen func() store.RowStore) {
		require.NoError(t, s.InsertRows([]store.Row{make(1)}))
		require.NoError(t, s.InsertRows([]store.Row{make(2), make(3), make(4), make(5)}))
		s = reopen()
		n, err := s.CountRows()
		require.NoError(t, err)
		require.Equal(t, 5, n)
		r, err := s.NewRowReader()
		require.NoError(t, err)
		found, err := r.ByID(3)
		require.NoError(t, err)
		require.Equal(t, make(3), found)
		collect := func(into *[]store.Row) func(store.Row) { return func(r store.Row) { *into = append(*into, r) } }
		var ofOne, inOrder []store.Row
		require.NoError(t, r.ByOwner("owner-1", collect(&ofOne)))
		require.ElementsMatch(t, []store.Row{make(1), make(4)}, ofOne)
		require.NoError(t, r.FromAmount(96, 3, collect(&inOrder)))
		require.Equal(t, []store.Row{make(4), make(3), make(2)}, inOrder)
		require.NoError(t, r.Close())
	})
}

func TestBatchesOutliveACloseWhole(t *testing.T) {
	type counted interface {
		store.BatchWriter
		store.Counter
	}
	each(t, func(t *testing.T, s counted, reopen func() counted) {
		var keys, vals [][]byte
		for i := range 1000 {
			keys, vals = append(keys, fmt.Append(nil, i)), append(vals, []byte("v"))
		}
		require.NoError(t, s.PutBatch(keys, vals))
		n, err := reopen().Count()
		require.NoError(t, err)
		require.Equal(t, 1000, n)
	})
}
