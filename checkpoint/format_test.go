package checkpoint

import (
	"encoding/binary"
	"hash/crc32"
	"slices"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/vfs"
)

// forged is a file that a writer would not make, with all digests right.
type forged struct {
	header []byte
	chunks []Chunk
	blocks []byte
	delta  delta
}

func forge() *forged { return &forged{header: appendHeader(nil, Header{Seq: 10})} }

// chunk adds a chunk with the given content.
func (f *forged) chunk(space uint64, entries, raw int, packed []byte, firstKey string) *forged {
	block := append(make([]byte, prefixSize), packed...)
	c := Chunk{Space: msgs.SpaceID(space), Entries: entries, RawBytes: raw, FirstKey: []byte(firstKey), packed: len(packed)}
	c.digest = sealPrefix(block, c.Space, entries, raw)
	f.chunks, f.blocks = append(f.chunks, c), append(f.blocks, block...)
	return f
}

func (f *forged) file(t require.TestingT) []byte {
	out := append(slices.Clone(f.header), f.blocks...)
	at := len(out)
	out, err := appendDirectory(out, f.chunks, f.delta, nil)
	require.NoError(t, err)
	return appendTrailer(out, int64(at), sumFile(f.header, out[at:]))
}

// decodeFile opens and verifies a file held in memory.
func decodeFile(t require.TestingT, data []byte) error {
	mem := vfs.NewMem()
	require.NoError(t, mem.WriteFile("f", data))
	r, err := Open(mem, "f")
	if err != nil {
		return err
	}
	defer r.Close()
	for i := range r.chunks {
		if err := r.DecodeChunk(i, func(_, _ []byte, _ uint64) error { return nil }); err != nil {
			return err
		}
	}
	return nil
}

func pack(raw []byte) []byte {
	e, err := zstd.NewWriter(nil)
	if err != nil {
		panic(err)
	}
	return e.EncodeAll(raw, nil)
}

func TestForgedFilesAreRefusedThoughTheirDigestsFit(t *testing.T) {
	one := appendEntry(nil, []byte("k"), []byte("v"), 3)
	two := appendEntry(slices.Clone(one), []byte("l"), []byte("w"), 4)
	swapped := appendEntry(appendEntry(nil, []byte("l"), nil, 1), []byte("k"), nil, 1)
	bomb := pack(make([]byte, 1<<20))
	require.NoError(t, decodeFile(t, forge().chunk(64, 2, len(two), pack(two), "k").file(t)))
	cases := map[string]*forged{
		"too few entries":       forge().chunk(64, 1, len(two), pack(two), "k"),
		"too many entries":      forge().chunk(64, 3, len(two), pack(two), "k"),
		"wrong first key":       forge().chunk(64, 1, len(one), pack(one), "j"),
		"descending keys":       forge().chunk(64, 2, len(swapped), pack(swapped), "l"),
		"version of the future": forge().chunk(64, 1, 5, pack(appendEntry(nil, []byte("k"), []byte("v"), 11)), "k"),
		"length beyond the end": forge().chunk(64, 1, 4, pack([]byte{200, 0, 1, 'k'}), "k"),
		"cut length":            forge().chunk(64, 1, 3, pack([]byte{1, 1, 0x80}), "k"),
		"not compressed":        forge().chunk(64, 1, len(one), one, "k"),
		"raw length too small":  forge().chunk(64, 1, len(one), pack(two), "k"),
		"raw length too large":  forge().chunk(64, 1, len(two), pack(one), "k"),
		"decompression bomb":    forge().chunk(64, 1, 1000, bomb, "k"),
		"impossible expansion":  forge().chunk(64, 1, maxChunkBytes, []byte{1, 2, 3}, "k"),
		"raw above the bound":   forge().chunk(64, 1, maxChunkBytes+1, make([]byte, 1<<17), "k"),
		"no entries":            forge().chunk(64, 0, 0, pack(nil), ""),
		"space 0":               forge().chunk(0, 1, len(one), pack(one), "k"),
		"spaces descend":        forge().chunk(65, 1, len(one), pack(one), "k").chunk(64, 1, len(one), pack(one), "k"),
		"chunks repeat":         forge().chunk(64, 1, len(one), pack(one), "k").chunk(64, 1, len(one), pack(one), "k"),
		"chunks overlap": forge().chunk(64, 2, len(two), pack(two), "k").
			chunk(64, 1, len(one), pack(appendEntry(nil, []byte("kk"), nil, 1)), "kk"),
	}
	for name, f := range cases {
		t.Run(name, func(t *testing.T) {
			require.ErrorIs(t, decodeFile(t, f.file(t)), errs.ErrDecode)
		})
	}
}

func TestForgedDirectoryMustMatchTheChunks(t *testing.T) {
	one := appendEntry(nil, []byte("k"), []byte("v"), 3)
	for name, spoil := range map[string]func(*forged){
		"gap":     func(f *forged) { f.blocks = append(f.blocks, 0) },
		"overlap": func(f *forged) { f.blocks = f.blocks[:len(f.blocks)-1] },
		"prefix":  func(f *forged) { f.blocks[chunkEntries]++ },
		"digest":  func(f *forged) { f.chunks[0].digest[5]++ },
	} {
		t.Run(name, func(t *testing.T) {
			f := forge().chunk(64, 1, len(one), pack(one), "k")
			spoil(f)
			require.ErrorIs(t, decodeFile(t, f.file(t)), errs.ErrDecode)
		})
	}
}

func TestForgedDeltasAreRefusedThoughTheirDigestsFit(t *testing.T) {
	forgeDelta := func(base uint64, dropped ...msgs.SpaceID) *forged {
		f := forge()
		f.header = appendHeader(nil, Header{Seq: 10, Features: featureDelta})
		f.delta = delta{Base{Seq: base}, dropped}
		return f
	}
	entry := func(value string, version uint64) []byte {
		return appendEntry(nil, []byte("k"), []byte(value), version)
	}
	with := func(f *forged, entry []byte) *forged { return f.chunk(64, 1, len(entry), pack(entry), "k") }
	require.NoError(t, decodeFile(t, with(forgeDelta(5, 3, 64), entry("v", 6)).file(t)))
	require.NoError(t, decodeFile(t, with(forgeDelta(5), entry("", 0)).file(t)))
	unmarked := forgeDelta(5)
	unmarked.header = appendHeader(nil, Header{Seq: 10})
	for name, f := range map[string]*forged{
		"a deletion with a value":    with(forgeDelta(5), entry("v", 0)),
		"an entry of the base":       with(forgeDelta(5), entry("v", 5)),
		"an entry of the future":     with(forgeDelta(5), entry("v", 11)),
		"a base that is not below":   forgeDelta(10),
		"no base":                    forgeDelta(0),
		"dropped spaces descend":     forgeDelta(5, 64, 3),
		"space 0 dropped":            forgeDelta(5, 0),
		"a delta that is not marked": unmarked,
	} {
		t.Run(name, func(t *testing.T) {
			require.ErrorIs(t, decodeFile(t, f.file(t)), errs.ErrDecode)
		})
	}
}

func TestForgedHeaderOfANewerFormatIsUnavailable(t *testing.T) {
	for name, spoil := range map[string]func([]byte){
		"version": func(h []byte) { h[headerVersion]++ },
		"feature": func(h []byte) { h[headerFeatures+7] = 0x80 },
	} {
		t.Run(name, func(t *testing.T) {
			f := forge()
			spoil(f.header)
			resealHeader(f.header)
			require.ErrorIs(t, decodeFile(t, f.file(t)), errs.ErrUnavailable)
		})
	}
	for name, spoil := range map[string]func([]byte){
		"version 0": func(h []byte) { h[headerVersion] = 0 },
		"reserved":  func(h []byte) { h[headerReserved] = 1 },
	} {
		t.Run(name, func(t *testing.T) {
			f := forge()
			spoil(f.header)
			resealHeader(f.header)
			require.ErrorIs(t, decodeFile(t, f.file(t)), errs.ErrDecode)
		})
	}
}

func resealHeader(h []byte) {
	binary.LittleEndian.PutUint32(h[headerChecksum:], crc32.Checksum(h[:headerChecksum], castagnoli))
}

// FuzzCheckpoint decodes arbitrary files; with sealed set the digests over the
// header and the directory are made to fit, and with inside set the data is the
// content of a chunk.
func FuzzCheckpoint(f *testing.F) {
	one := appendEntry(nil, []byte("k"), []byte("v"), 3)
	whole := forge().chunk(64, 1, len(one), pack(one), "k").file(f)
	f.Add(whole, uint8(0))
	f.Add(whole, uint8(1))
	onTop := forge()
	onTop.header = appendHeader(nil, Header{Seq: 10, Features: featureDelta})
	onTop.delta = delta{Base{Seq: 2}, []msgs.SpaceID{3, 64}}
	f.Add(onTop.chunk(64, 1, len(one), pack(one), "k").file(f), uint8(1))
	f.Add(one, uint8(2))
	f.Add(pack(one), uint8(3))
	f.Fuzz(func(t *testing.T, data []byte, mode uint8) {
		switch mode % 4 {
		case 1: // a whole file, sealed again
			data = slices.Clone(data)
			if len(data) < headerSize+prefixSize+trailerSize {
				return
			}
			resealHeader(data)
			trailer := data[len(data)-trailerSize:]
			at := binary.LittleEndian.Uint64(trailer[trailerOffset:])
			if at < headerSize || at > uint64(len(data)-trailerSize-prefixSize) {
				return
			}
			digest := sumFile(data[:headerSize], data[at:len(data)-trailerSize])
			copy(trailer[trailerDigest:], digest[:])
		case 2: // the entries of a chunk
			if len(data) < minEntryBytes {
				return
			}
			key, _, _, _, err := consumeEntry(data)
			if err != nil {
				return
			}
			data = forge().chunk(64, 1, len(data), pack(data), string(key)).file(t)
		case 3: // the compressed bytes of a chunk
			data = forge().chunk(64, 1, len(one), data, "k").file(t)
		}
		_ = decodeFile(t, data)
	})
}
