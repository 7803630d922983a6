package cases

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/empyrealapp/aedb-go/test/peers/store"
)

// An entry is 100 bytes: a key of 16 and a value of 84.
const (
	keySize   = 16
	valueSize = 84
)

// mix is a bijection that scatters numbers (the finaliser of SplitMix64).
func mix(n uint64) uint64 {
	n += 0x9e3779b97f4a7c15
	n = (n ^ n>>30) * 0xbf58476d1ce4e5b9
	n = (n ^ n>>27) * 0x94d049bb133111eb
	return n ^ n>>31
}

// scattered appends the i-th key of a set whose order has nothing to do with i.
func scattered(buf []byte, i int) []byte {
	buf = binary.BigEndian.AppendUint64(buf, mix(uint64(i)))
	return binary.BigEndian.AppendUint64(buf, uint64(i))
}

// ordered appends the i-th key of a set in ascending order.
func ordered(buf []byte, i int) []byte {
	return binary.BigEndian.AppendUint64(append(buf, "00000000"...), uint64(i))
}

// grouped appends the i-th key of a set in which 100 keys share each prefix of 8
// bytes.
func grouped(buf []byte, i int) []byte {
	buf = binary.BigEndian.AppendUint64(buf, mix(uint64(i/groupSize)))
	return binary.BigEndian.AppendUint64(buf, uint64(i%groupSize))
}

const groupSize = 100

// value appends the value of the i-th entry: its number, then noise that does
// not compress.
func value(buf []byte, i int) []byte {
	end := len(buf) + valueSize
	buf = binary.BigEndian.AppendUint64(buf, uint64(i))
	for n := mix(^uint64(i)); len(buf) < end; n = n*0xd1342543de82ef95 + 1 {
		buf = binary.BigEndian.AppendUint64(buf, n)
	}
	return buf[:end]
}

// check tells whether a value is that of the i-th entry.
func check(val []byte, i int) error {
	if len(val) != valueSize || binary.BigEndian.Uint64(val) != uint64(i) {
		return fmt.Errorf("entry %d has a wrong value of %d bytes", i, len(val))
	}
	return nil
}

// checkAll is check for every byte.
func checkAll(val []byte, i int) error {
	if !bytes.Equal(val, value(nil, i)) {
		return fmt.Errorf("entry %d has a wrong value of %d bytes", i, len(val))
	}
	return nil
}

// batchSize is the number of entries or rows in one commit of a load.
const batchSize = 1000

// load writes the entries [0, n) with a batch per commit.
func load(s store.BatchWriter, n int, key func([]byte, int) []byte) error {
	for first := 0; first < n; first += batchSize {
		keys, vals := batch(first, min(batchSize, n-first), key)
		if err := s.PutBatch(keys, vals); err != nil {
			return fmt.Errorf("load from %d: %w", first, err)
		}
	}
	return nil
}

// batch makes n entries from first on. They share one array.
func batch(first, n int, key func([]byte, int) []byte) (keys, vals [][]byte) {
	buf := make([]byte, 0, n*(keySize+valueSize+8)) // a value is cut from whole words
	keys, vals = make([][]byte, n), make([][]byte, n)
	for i := range n {
		at := len(buf)
		buf = key(buf, first+i)
		keys[i] = buf[at:len(buf):len(buf)]
		at = len(buf)
		buf = value(buf, first+i)
		vals[i] = buf[at:len(buf):len(buf)]
	}
	return keys, vals
}

// expect checks the number of entries.
func expect(s store.Store, n int) error {
	c, ok := s.(store.Counter)
	if !ok {
		return nil
	}
	switch found, err := c.Count(); {
	case err != nil:
		return fmt.Errorf("count: %w", err)
	case found != n:
		return fmt.Errorf("the store has %d entries, %d were written", found, n)
	}
	return nil
}

// probe is the greatest number of entries that are read one by one as a check.
const probe = 1000

// expectValues checks some of the n entries from first on, byte by byte.
func expectValues(s store.Store, first, n int, key func([]byte, int) []byte) error {
	rs, ok := s.(store.ReadStore)
	if !ok {
		return nil
	}
	r, err := rs.NewReader()
	if err != nil {
		return err
	}
	for k := range min(n, probe) {
		i := first + k*n/min(n, probe)
		val, err := r.Get(key(nil, i), nil)
		if err == nil {
			err = checkAll(val, i)
		}
		if err != nil {
			return fmt.Errorf("entry %d: %w", i, err)
		}
	}
	return r.Close()
}
