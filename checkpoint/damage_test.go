package checkpoint_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/checkpoint"
	"github.com/empyrealapp/aedb-go/errs"
)

func sorted(keys []string) []string { return slices.Sorted(slices.Values(keys)) }

func sampleFile(t require.TestingT) []byte {
	mem := newDir(t)
	_, name := write(t, mem, 1, sampleEntries())
	data, err := mem.ReadFile(name)
	require.NoError(t, err)
	return data
}

func TestDamageOfAnyBitIsFoundAtOpenOrWhenItsChunkIsDecoded(t *testing.T) {
	data := sampleFile(t)
	mem := newDir(t)
	for n := range data {
		for bit := range 8 {
			bad := slices.Clone(data)
			bad[n] ^= 1 << bit
			require.NoError(t, mem.WriteFile("db/bad", bad))
			_, _, err := readAll(mem, "db/bad")
			require.ErrorIs(t, err, errs.ErrDecode, "byte %d bit %d", n, bit)
		}
	}
}

func TestDamageOfOneChunkLeavesTheOthersReadable(t *testing.T) {
	data := sampleFile(t)
	data[60+52] ^= 1 // the first byte of the first chunk behind its prefix
	mem := newDir(t)
	require.NoError(t, mem.WriteFile("db/bad", data))
	r, err := checkpoint.Open(mem, "db/bad")
	require.NoError(t, err)
	defer r.Close()
	nothing := func(_, _ []byte, _ uint64) error { return nil }
	err = r.DecodeChunk(0, nothing)
	require.ErrorIs(t, err, errs.ErrDecode)
	require.ErrorContains(t, err, "db/bad: chunk 0 at offset 60")
	require.NoError(t, r.DecodeChunk(1, nothing))
	require.ErrorIs(t, r.Verify(t.Context()), errs.ErrDecode)
}

func TestDamageByTruncationIsFoundAtOpen(t *testing.T) {
	data := sampleFile(t)
	mem := newDir(t)
	for n := range data {
		require.NoError(t, mem.WriteFile("db/bad", data[:n]))
		_, err := checkpoint.Open(mem, "db/bad")
		require.ErrorIs(t, err, errs.ErrDecode, "cut at %d", n)
	}
	require.NoError(t, mem.WriteFile("db/bad", append(slices.Clone(data), 0)))
	_, err := checkpoint.Open(mem, "db/bad")
	require.ErrorIs(t, err, errs.ErrDecode)
}

func TestDamageIsToldFromAMissingFileAndFromTheVisitorsError(t *testing.T) {
	mem := newDir(t)
	_, err := checkpoint.Open(mem, "db/none")
	require.ErrorIs(t, err, errs.ErrIO)
	_, name := write(t, mem, 1, sampleEntries())
	r, err := checkpoint.Open(mem, name)
	require.NoError(t, err)
	defer r.Close()
	enough := errors.New("enough")
	require.Equal(t, enough, r.DecodeChunk(0, func(_, _ []byte, _ uint64) error { return enough }))
}
