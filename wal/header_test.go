package wal_test

import (
	"encoding/binary"
	"hash/crc32"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/wal"
)

func sampleHeader() wal.Header {
	h := wal.Header{Number: 3, Term: 1, FirstSeq: 41, CreatedMicros: 1_700_000_000_000_000}
	for i := range h.Incarnation {
		h.Incarnation[i] = byte(i + 1)
	}
	for i := range h.Previous {
		h.Previous[i] = byte(0xA0 + i)
	}
	return h
}

// reseal makes the checksum of a header fit its bytes.
func reseal(header []byte) []byte {
	sum := crc32.Checksum(header[:wal.HeaderSize-4], crc32.MakeTable(crc32.Castagnoli))
	binary.LittleEndian.PutUint32(header[wal.HeaderSize-4:], sum)
	return header
}

func TestHeaderRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := wal.Header{
			Number:        rapid.Uint64().Draw(t, "number"),
			Term:          rapid.Uint64().Draw(t, "term"),
			FirstSeq:      rapid.Uint64Min(1).Draw(t, "first"),
			CreatedMicros: rapid.Int64().Draw(t, "created"),
		}
		copy(h.Incarnation[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "incarnation"))
		copy(h.Previous[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "previous"))
		data := wal.AppendHeader([]byte("x"), h)[1:]
		require.Len(t, data, wal.HeaderSize)
		got, err := wal.ParseHeader(data)
		require.NoError(t, err)
		require.Equal(t, h, got)
	})
}

func TestHeaderDamageIsDecodeAndNeverTakenForANewerVersion(t *testing.T) {
	data := wal.AppendHeader(nil, sampleHeader())
	for n := range data {
		_, err := wal.ParseHeader(data[:n])
		require.ErrorIs(t, err, errs.ErrDecode, "cut at %d", n)
		for bit := range 8 {
			bad := append([]byte(nil), data...)
			bad[n] ^= 1 << bit
			_, err := wal.ParseHeader(bad)
			require.ErrorIs(t, err, errs.ErrDecode, "byte %d bit %d", n, bit)
		}
	}
}

func TestHeaderOfANewerFormatOrFeatureIsUnavailable(t *testing.T) {
	newer := wal.AppendHeader(nil, sampleHeader())
	newer[8]++
	_, err := wal.ParseHeader(reseal(newer))
	require.ErrorIs(t, err, errs.ErrUnavailable)

	feature := wal.AppendHeader(nil, sampleHeader())
	feature[19] = 0x80
	_, err = wal.ParseHeader(reseal(feature))
	require.ErrorIs(t, err, errs.ErrUnavailable)

	zero := wal.AppendHeader(nil, sampleHeader())
	zero[8] = 0
	_, err = wal.ParseHeader(reseal(zero))
	require.ErrorIs(t, err, errs.ErrDecode)
}

func TestHeaderOfAnInterruptedCreationIsToldFromDamage(t *testing.T) {
	header := wal.AppendHeader(nil, sampleHeader())
	require.True(t, wal.NeverWritten(nil))
	require.True(t, wal.NeverWritten(header[:50]))
	require.True(t, wal.NeverWritten(make([]byte, 4096)))
	require.True(t, wal.NeverWritten(append(header[:len(header):len(header)], make([]byte, 1000)...)))
	require.False(t, wal.NeverWritten(append(header[:len(header):len(header)], 1)))
}
