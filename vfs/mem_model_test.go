package vfs

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// modelFile is a file as a reader would describe it: two byte strings.
type modelFile struct{ live, synced []byte }

// model is one flat directory, kept without any sharing or paging.
type model struct {
	live, synced map[string]*modelFile
}

func clone(b []byte) []byte { return append([]byte{}, b...) }

func (f *modelFile) resize(n int) {
	if n <= len(f.live) {
		f.live = f.live[:n]
		return
	}
	f.live = append(f.live, make([]byte, n-len(f.live))...)
}

func view(entries map[string]*modelFile, of func(*modelFile) []byte) map[string]string {
	v := make(map[string]string)
	for name, f := range entries {
		v[name] = string(of(f))
	}
	return v
}

func memView(t require.TestingT, m *Mem) map[string]string {
	v := make(map[string]string)
	for _, name := range m.Names() {
		b, err := m.ReadFile(name)
		require.NoError(t, err)
		v[name] = string(b)
	}
	return v
}

func TestMemBehavesAsAPlainModelAndCrashesToItsSyncedPart(t *testing.T) {
	names := rapid.SampledFrom([]string{"a", "b", "c", "d"})
	sizes := rapid.OneOf(rapid.IntRange(0, 3*pageSize), rapid.SampledFrom([]int{0, 1, pageSize, pageSize + 1, 2 * pageSize}))
	rapid.Check(t, func(t *rapid.T) {
		m := NewMem()
		want := model{live: map[string]*modelFile{}, synced: map[string]*modelFile{}}
		open := func(name string) (File, *modelFile) {
			f, err := m.OpenReadWrite(name)
			if want.live[name] == nil {
				require.ErrorIs(t, err, fs.ErrNotExist)
				return nil, nil
			}
			require.NoError(t, err)
			return f, want.live[name]
		}
		t.Repeat(map[string]func(*rapid.T){
			"create": func(t *rapid.T) {
				name := names.Draw(t, "name")
				_, err := m.Create(name)
				if want.live[name] != nil {
					require.ErrorIs(t, err, fs.ErrExist)
					return
				}
				require.NoError(t, err)
				want.live[name] = &modelFile{}
			},
			"write": func(t *rapid.T) {
				f, mf := open(names.Draw(t, "name"))
				if mf == nil {
					return
				}
				off, n := sizes.Draw(t, "off"), sizes.Draw(t, "n")
				b := bytes.Repeat([]byte{rapid.ByteRange('a', 'z').Draw(t, "byte")}, n)
				got, err := f.WriteAt(b, int64(off))
				require.NoError(t, err)
				require.Equal(t, n, got)
				if n > 0 {
					mf.resize(max(len(mf.live), off+n))
					copy(mf.live[off:], b)
				}
			},
			"truncate": func(t *rapid.T) {
				f, mf := open(names.Draw(t, "name"))
				if mf == nil {
					return
				}
				n := sizes.Draw(t, "n")
				require.NoError(t, f.Truncate(int64(n)))
				mf.resize(n)
			},
			"sync": func(t *rapid.T) {
				f, mf := open(names.Draw(t, "name"))
				if mf == nil {
					return
				}
				require.NoError(t, f.Sync())
				mf.synced = clone(mf.live)
			},
			"rename": func(t *rapid.T) {
				from, to := names.Draw(t, "from"), names.Draw(t, "to")
				_, mf := open(from)
				if mf == nil {
					require.ErrorIs(t, m.Rename(from, to), fs.ErrNotExist)
					return
				}
				require.NoError(t, m.Rename(from, to))
				delete(want.live, from)
				want.live[to] = mf
			},
			"remove": func(t *rapid.T) {
				name := names.Draw(t, "name")
				if want.live[name] == nil {
					require.ErrorIs(t, m.Remove(name), fs.ErrNotExist)
					return
				}
				require.NoError(t, m.Remove(name))
				delete(want.live, name)
			},
			"syncdir": func(t *rapid.T) {
				require.NoError(t, m.SyncDir("."))
				want.synced = maps.Clone(want.live)
			},
			"read": func(t *rapid.T) {
				f, mf := open(names.Draw(t, "name"))
				if mf == nil {
					return
				}
				off, n := sizes.Draw(t, "off"), sizes.Draw(t, "n")
				b := make([]byte, n)
				got, err := f.ReadAt(b, int64(off))
				from := min(off, len(mf.live))
				to := min(off+n, len(mf.live))
				require.Equal(t, max(0, to-from), got)
				require.Equal(t, got < n, err != nil)
				require.Equal(t, string(mf.live[from:max(from, to)]), string(b[:got]))
			},
			"": func(t *rapid.T) {
				live := func(f *modelFile) []byte { return f.live }
				synced := func(f *modelFile) []byte { return f.synced }
				require.Equal(t, view(want.live, live), memView(t, m))
				require.Equal(t, view(want.live, live), memView(t, m.Clone(AllKept())))
				require.Equal(t, view(want.synced, synced), memView(t, m.Clone(AllLost())))
				require.Equal(t, view(want.live, synced), memView(t, m.Clone(Fate{Entries: EntriesKept})))
				require.Equal(t, view(want.synced, live), memView(t, m.Clone(Fate{Data: DataKept})))
				listed, err := m.List("/")
				require.NoError(t, err)
				require.Equal(t, slices.Sorted(maps.Keys(want.live)), append([]string(nil), listed...))
			},
		})
	})
}

// Files whose content was synced are moved about: whatever a random fate keeps,
// none has two names, and none that both sides know is lost.
func TestRandomFateGivesEveryFileOneName(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := NewMem()
		names := []string{"a", "b", "c", "d"}
		for _, name := range names[:2] {
			require.NoError(t, m.WriteFile(name, []byte(name+" from the start")))
		}
		files := 0
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			from := rapid.SampledFrom(names).Draw(t, "from")
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0:
				if f, err := m.Create(from); err == nil {
					files++
					_, err = fmt.Fprintf(&writerAt{f: f}, "file %d", files)
					require.NoError(t, err)
					require.NoError(t, f.Sync())
				}
			case 1, 2:
				_ = m.Rename(from, rapid.SampledFrom(names).Draw(t, "to"))
			case 3:
				if rapid.Bool().Draw(t, "sync") {
					require.NoError(t, m.SyncDir("."))
				} else {
					_ = m.Remove(from)
				}
			}
		}
		live, synced := memView(t, m), memView(t, m.Clone(AllLost()))
		seed, percent := rapid.Uint64().Draw(t, "seed"), rapid.IntRange(0, 100).Draw(t, "percent")
		after := memView(t, m.Clone(RandomBlocks(seed, percent)))
		require.Equal(t, after, memView(t, m.Clone(RandomBlocks(seed, percent))), "equal fates, equal results")
		found := map[string]bool{}
		for _, text := range after {
			require.NotEmpty(t, text, "the content was synced")
			require.False(t, found[text], "%q has two names", text)
			found[text] = true
		}
		for _, before := range synced {
			if slices.Contains(slices.Collect(maps.Values(live)), before) {
				require.True(t, found[before], "%q has no name", before)
			}
		}
		if percent == 0 {
			require.Equal(t, synced, after)
		}
		if percent == 100 {
			require.Equal(t, live, after)
		}
	})
}

// writerAt appends to a file.
type writerAt struct {
	f   File
	off int64
}

func (w *writerAt) Write(b []byte) (int, error) {
	n, err := w.f.WriteAt(b, w.off)
	w.off += int64(n)
	return n, err
}

func TestMemIsSafeForConcurrentUse(t *testing.T) {
	m := NewMem()
	m.SetInjector(func(Op) Fault { return Fault{} })
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			name := fmt.Sprint("f", g)
			f, err := m.Create(name)
			if err != nil {
				t.Error(err)
				return
			}
			for i := range 50 {
				b := bytes.Repeat([]byte{byte(i)}, pageSize)
				_, werr := f.WriteAt(b, int64(i)*100)
				_, rerr := f.ReadAt(b, 0)
				_, lerr := m.List(".")
				c := m.Clone(RandomBlocks(uint64(i), 50))
				cerr := c.WriteFile(name, b)
				for _, err := range []error{werr, rerr, lerr, cerr, f.Sync(), m.SyncDir(".")} {
					if err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	require.Len(t, m.Crash(AllLost()).Names(), 4)
}

func BenchmarkMemAppendAndSync(b *testing.B) {
	for _, size := range []int{200, 4096, 64 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			f, err := NewMem().Create("wal")
			require.NoError(b, err)
			buf := make([]byte, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			var off int64
			for b.Loop() {
				if _, err := f.WriteAt(buf, off); err != nil {
					b.Fatal(err)
				}
				if err := f.Sync(); err != nil {
					b.Fatal(err)
				}
				off = (off + int64(size)) % (16 << 20)
			}
		})
	}
}

func BenchmarkMemClone(b *testing.B) {
	m := NewMem()
	for i := range 8 {
		require.NoError(b, m.WriteFile(fmt.Sprint("segment", i), make([]byte, 2<<20)))
	}
	f := openRW(b, m, "segment0")
	write(b, f, string(make([]byte, 64<<10)), 1000)
	for _, fate := range []Fate{AllLost(), AllKept(), RandomBlocks(1, 50), TornLastWrite(1)} {
		b.Run(fate.String(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				m.Clone(fate)
			}
		})
	}
}
