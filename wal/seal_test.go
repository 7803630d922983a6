package wal_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/keys"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/wal"
)

// ring returns a ring of keys whose secrets are made from their names.
func ring(t testing.TB, ids ...string) *keys.Ring {
	var all []keys.Key
	for _, id := range ids {
		all = append(all, keys.Key{ID: id, Secret: bytes.Repeat([]byte(id+"#"), keys.MinSecretBytes)})
	}
	r, err := keys.NewRing(all...)
	require.NoError(t, err)
	return r
}

// sealings are the ways to seal a segment, under key "k1".
func sealings(t testing.TB) map[string]keys.Sealing {
	return map[string]keys.Sealing{
		"authenticated": {Ring: ring(t, "k1")},
		"encrypted":     {Ring: ring(t, "k1"), Encrypt: true},
	}
}

// writeSealed is write for a sealed segment.
func writeSealed(t require.TestingT, s keys.Sealing, lag uint64, epochs [][]msgs.Changeset) written {
	w, data, err := wal.NewSealedWriter(sampleHeader(), s)
	require.NoError(t, err)
	out := written{writer: w}
	for _, sets := range epochs {
		out.starts = append(out.starts, len(data))
		data, err = w.AppendFrame(data, 1, w.NextSeq()-1-min(lag, w.NextSeq()-1), sets)
		require.NoError(t, err)
	}
	out.data = data
	return out
}

func scanSealed(data []byte, r *keys.Ring) (sets [][]msgs.Changeset, end wal.End, err error) {
	_, end, err = wal.ScanSealed(data, r, func(f wal.Frame) error {
		sets = append(sets, f.Sets)
		return nil
	})
	return sets, end, err
}

// refit makes the crc of the frame at an offset fit its bytes, as anyone can.
func refit(data []byte, offset int) []byte {
	size := wal.FrameOverhead + int(binary.LittleEndian.Uint32(data[offset+4:]))
	frame := data[offset : offset+size]
	seed := binary.LittleEndian.Uint32(data[wal.HeaderSize+wal.SealSize-4:])
	binary.LittleEndian.PutUint32(frame, crcFrom(seed, frame[4:]))
	return data
}

// refitHeader makes the checksums of header and seal block fit.
func refitHeader(data []byte) []byte {
	reseal(data[:wal.HeaderSize])
	seed := binary.LittleEndian.Uint32(data[wal.HeaderSize-4:])
	end := wal.HeaderSize + wal.SealSize - 4
	binary.LittleEndian.PutUint32(data[end:], crcFrom(seed, data[wal.HeaderSize:end]))
	return data
}

func TestSealedSegmentComesBackAsItWas(t *testing.T) {
	for name, s := range sealings(t) {
		t.Run(name, func(t *testing.T) {
			w := writeSealed(t, s, 2, sampleEpochs())
			require.EqualValues(t, len(w.data), w.writer.Size())
			require.Equal(t, wal.DigestOf(w.data), w.writer.Digest())
			got, end, err := scanSealed(append(w.data, make([]byte, 100)...), ring(t, "new", "k1"))
			require.NoError(t, err)
			require.Equal(t, wal.Clean, end.Verdict)
			require.Equal(t, len(w.data), end.Offset)
			requireSame(t, sampleEpochs(), got)
			id, err := wal.SealedUnder(w.data)
			require.NoError(t, err)
			require.Equal(t, "k1", id)
		})
	}
}

func TestOnlyAnEncryptedSegmentHidesItsContent(t *testing.T) {
	secret := "a very particular value"
	epochs := [][]msgs.Changeset{{put(41, "key", secret)}}
	for name, s := range sealings(t) {
		require.Equal(t, name == "authenticated", bytes.Contains(writeSealed(t, s, 0, epochs).data, []byte(secret)), name)
	}
}

func TestSegmentNeedsTheKeyThatItNames(t *testing.T) {
	for _, s := range sealings(t) {
		w := writeSealed(t, s, 0, sampleEpochs())
		for _, r := range []*keys.Ring{nil, ring(t, "k2")} {
			_, _, err := scanSealed(w.data, r)
			require.ErrorIs(t, err, errs.ErrUnavailable)
			require.ErrorContains(t, err, `"k1"`)
		}
		other, err := keys.NewRing(keys.Key{ID: "k1", Secret: make([]byte, 32)})
		require.NoError(t, err)
		_, _, err = scanSealed(w.data, other)
		require.ErrorIs(t, err, errs.ErrIntegrity, "the right name, the wrong secret")
	}
}

func TestSealedSegmentCutAnywhereIsTornOrClean(t *testing.T) {
	for _, s := range sealings(t) {
		w := writeSealed(t, s, 0, sampleEpochs())
		for n := range len(w.data) {
			for _, zeros := range []int{0, 300} {
				data := append(bytes.Clone(w.data[:n]), make([]byte, zeros)...)
				got, end, err := scanSealed(data, s.Ring)
				if n < wal.HeaderSize+wal.SealSize {
					if err != nil { // else the last bytes were zeros anyway
						require.ErrorIs(t, err, errs.ErrDecode)
						require.True(t, wal.NeverSealed(data), "cut at %d", n)
					}
					continue
				}
				require.NoError(t, err)
				require.NotEqual(t, wal.Corrupt, end.Verdict)
				there := n
				for zeros > 0 && there < len(w.data) && w.data[there] == 0 {
					there++ // what was cut off were zeros, and so is what stands there
				}
				whole := slices.IndexFunc(append(slices.Clone(w.starts), len(w.data)), func(at int) bool { return at > there })
				if whole < 0 {
					whole = len(w.starts) + 1
				}
				requireSame(t, sampleEpochs()[:max(0, whole-1)], got)
			}
		}
	}
}

func TestAnyFlippedBitOfASealedSegmentIsNoticed(t *testing.T) {
	for _, s := range sealings(t) {
		w := writeSealed(t, s, 0, sampleEpochs())
		for at := range w.data {
			bad := bytes.Clone(w.data)
			bad[at] ^= 1 << (at % 8)
			_, end, err := scanSealed(bad, s.Ring)
			require.True(t, err != nil || end.Verdict != wal.Clean, "byte %d", at)
			if at >= w.starts[0] && at < w.starts[2] {
				require.Equal(t, wal.Corrupt, end.Verdict, "byte %d: a later frame says that it was durable", at)
			}
		}
	}
}

// Whoever has no key can still make every checksum fit.
func TestForgedFrameIsAnIntegrityErrorWhereverItIs(t *testing.T) {
	for name, s := range sealings(t) {
		w := writeSealed(t, s, 9, sampleEpochs())
		second := w.starts[1]
		moved := func(data []byte) []byte { // the second frame in the place of the first
			return append(bytes.Clone(data[:w.starts[0]]), data[second:]...)
		}
		forgeries := map[string]func(data []byte) []byte{
			"payload of the first": func(d []byte) []byte { d[w.starts[0]+40] ^= 1; return refit(d, w.starts[0]) },
			"payload of the last":  func(d []byte) []byte { d[w.starts[2]+40] ^= 1; return refit(d, w.starts[2]) },
			"nonce":                func(d []byte) []byte { d[second+20] ^= 1; return refit(d, second) },
			"tag":                  func(d []byte) []byte { d[w.starts[2]-1] ^= 1; return refit(d, second) },
			"previous":             func(d []byte) []byte { d[second+8] ^= 1; return refit(d, second) },
			"place":                func(d []byte) []byte { d[second+12] ^= 1; return refit(d, second) },
			"moved":                moved,
			"moved and named for its place": func(d []byte) []byte {
				d = moved(d)
				copy(d[w.starts[0]+8:], d[w.starts[0]-4:w.starts[0]])
				binary.LittleEndian.PutUint64(d[w.starts[0]+12:], uint64(w.starts[0]))
				return refit(d, w.starts[0])
			},
			"short": func(d []byte) []byte {
				d = append(d[:second], make([]byte, 20)...)
				binary.LittleEndian.PutUint32(d[second+4:], 8)
				return refit(d, second)
			},
			"behind a hole": func(d []byte) []byte {
				clear(d[w.starts[0]:second])
				d[w.starts[2]+40] ^= 1
				return refit(d, w.starts[2])
			},
		}
		for what, forge := range forgeries {
			t.Run(fmt.Sprint(name, " ", what), func(t *testing.T) {
				_, _, err := scanSealed(forge(bytes.Clone(w.data)), s.Ring)
				require.ErrorIs(t, err, errs.ErrIntegrity)
				require.ErrorContains(t, err, "offset")
				require.ErrorContains(t, err, "segment 3")
			})
		}
	}
}

func TestForgedHeaderOrSealIsAnIntegrityError(t *testing.T) {
	for name, s := range sealings(t) {
		for what, at := range map[string]int{
			"number": 36, "first seq": 52, "created": 60, "previous": 70, "incarnation": 20,
			"salt": wal.HeaderSize + 40, "tag": wal.HeaderSize + 70,
		} {
			bad := writeSealed(t, s, 0, sampleEpochs()).data
			bad[at] ^= 1
			_, _, err := scanSealed(refitHeader(bad), s.Ring)
			require.ErrorIs(t, err, errs.ErrIntegrity, "%s: %s", name, what)
		}
		bad := writeSealed(t, s, 0, sampleEpochs()).data
		bad[12] ^= 3 // the other way of sealing
		_, _, err := scanSealed(refitHeader(bad), s.Ring)
		require.ErrorIs(t, err, errs.ErrIntegrity)
		bad[12] |= 3
		_, _, err = scanSealed(refitHeader(bad), s.Ring)
		require.ErrorIs(t, err, errs.ErrDecode, "both ways at once")
	}
}

// A place that is written again, after a crash or by another instance, is written
// with another nonce, although nothing else tells the two attempts apart.
func TestNoNonceIsUsedTwiceForAPlaceThatIsWrittenAgain(t *testing.T) {
	for _, s := range sealings(t) {
		w := writeSealed(t, s, 0, sampleEpochs()[:1])
		_, end, err := scanSealed(w.data, s.Ring)
		require.NoError(t, err)
		seen := map[string]bool{}
		for range 50 {
			again, err := wal.ContinueSealedWriter(w.data, end, s)
			require.NoError(t, err)
			for range 3 {
				frame, err := again.AppendFrame(nil, 1, again.NextSeq()-1, []msgs.Changeset{put(again.NextSeq(), "k", "v")})
				require.NoError(t, err)
				nonce := string(frame[20:32])
				require.False(t, seen[nonce])
				seen[nonce] = true
			}
		}
	}
}

func TestContinuedAndFollowingSegmentsAreSealedAlike(t *testing.T) {
	for _, s := range sealings(t) {
		w := writeSealed(t, s, 0, sampleEpochs()[:2])
		_, end, err := scanSealed(append(w.data, 1, 2, 3), s.Ring)
		require.NoError(t, err)
		again, err := wal.ContinueSealedWriter(w.data, end, s)
		require.NoError(t, err)
		data, err := again.AppendFrame(w.data, 1, again.NextSeq()-1, sampleEpochs()[2])
		require.NoError(t, err)
		require.Equal(t, wal.DigestOf(data), again.Digest())
		got, _, err := scanSealed(data, s.Ring)
		require.NoError(t, err)
		requireSame(t, sampleEpochs(), got)

		next, header, err := again.Successor(7)
		require.NoError(t, err)
		require.EqualValues(t, 4, next.Header().Number)
		require.Equal(t, again.Segment().Digest, next.Header().Previous)
		h, seal, err := wal.Open(header, s.Ring)
		require.NoError(t, err)
		require.Equal(t, next.Header(), h)
		require.True(t, seal.Fits(s))
	}
}

func TestSegmentIsNotContinuedUnderAnotherSeal(t *testing.T) {
	was := keys.Sealing{Ring: ring(t, "k1")}
	w := writeSealed(t, was, 0, sampleEpochs())
	_, end, err := scanSealed(w.data, was.Ring)
	require.NoError(t, err)
	for _, s := range []keys.Sealing{{Ring: ring(t, "k2", "k1")}, {Ring: ring(t, "k1"), Encrypt: true}} {
		_, err := wal.ContinueSealedWriter(w.data, end, s)
		require.ErrorIs(t, err, errs.ErrEncode)
	}
	plain := write(t, sampleHeader(), 0, sampleEpochs())
	_, end, err = scan(plain.data)
	require.NoError(t, err)
	_, err = wal.ContinueSealedWriter(plain.data, end, was)
	require.ErrorIs(t, err, errs.ErrEncode)
}

// The search behind a torn place must stay cheap where everything is random.
func TestTornTailOfMuchCiphertextIsStillTorn(t *testing.T) {
	s := sealings(t)["encrypted"]
	big := string(make([]byte, 2<<20))
	w := writeSealed(t, s, 99, [][]msgs.Changeset{{put(41, "a", big)}, {put(42, "b", big)}})
	w.data[w.starts[0]+5000] ^= 1
	_, end, err := scanSealed(w.data, s.Ring)
	require.NoError(t, err)
	require.Equal(t, wal.Torn, end.Verdict)
	require.Equal(t, 1, end.Stranded)
}

func FuzzSealedSegment(f *testing.F) {
	all := sealings(f)
	for _, s := range all {
		f.Add(writeSealed(f, s, 1, sampleEpochs()).data, true)
	}
	r := ring(f, "k1")
	f.Fuzz(func(t *testing.T, data []byte, fit bool) {
		const first = wal.HeaderSize + wal.SealSize
		if data = bytes.Clone(data); fit && len(data) >= first {
			refitHeader(data)
			if len(data) > first+wal.FrameOverhead {
				binary.LittleEndian.PutUint32(data[first+4:], uint32(len(data)-first-wal.FrameOverhead))
				refit(data, first)
			}
		}
		_, end, err := scanSealed(data, r)
		if err != nil {
			code := errs.CodeOf(err)
			require.True(t, code == errs.CodeDecode || code == errs.CodeUnavailable || code == errs.CodeIntegrity, "%v", err)
			return
		}
		require.LessOrEqual(t, end.Offset, len(data))
	})
}

func BenchmarkAppendSealedFrame(b *testing.B) {
	all := sealings(b)
	all["none"] = keys.Sealing{}
	for _, name := range []string{"none", "authenticated", "encrypted"} {
		for _, n := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/puts=%d", name, n), func(b *testing.B) {
				w, buf, err := wal.NewSealedWriter(wal.Header{FirstSeq: 1, Number: 1, Term: 1}, all[name])
				require.NoError(b, err)
				sets := smallPuts(n)
				b.ReportAllocs()
				for b.Loop() {
					for i := range sets {
						sets[i].Seq = w.NextSeq() + uint64(i)
					}
					if buf, err = w.AppendFrame(buf[:0], 1, w.NextSeq()-1, sets); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/commit")
				b.ReportMetric(float64(w.Size())/float64(b.N*n), "bytes/commit")
			})
		}
	}
}
