package vfs

import (
	"bytes"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func openRW(t testing.TB, fsys FS, name string) File {
	t.Helper()
	f, err := fsys.OpenReadWrite(name)
	require.NoError(t, err)
	return f
}

func text(t testing.TB, m *Mem, name string) string {
	t.Helper()
	b, err := m.ReadFile(name)
	require.NoError(t, err)
	return string(b)
}

func TestUnsyncedDataIsLostOrKept(t *testing.T) {
	grown := func(t *testing.T, f File) { require.NoError(t, f.Truncate(8)) }
	for _, c := range []struct {
		name       string
		do         func(t *testing.T, f File)
		lost, kept string
	}{
		{"overwrite", func(t *testing.T, f File) { write(t, f, "XY", 1) }, "base", "bXYe"},
		{"append", func(t *testing.T, f File) { write(t, f, "+", 4) }, "base", "base+"},
		{"shrink", func(t *testing.T, f File) { require.NoError(t, f.Truncate(1)) }, "base", "b"},
		{"empty", func(t *testing.T, f File) { require.NoError(t, f.Truncate(0)) }, "base", ""},
		{"grow", grown, "base", "base\x00\x00\x00\x00"},
		{"grow and shrink", func(t *testing.T, f File) { grown(t, f); require.NoError(t, f.Truncate(6)) },
			"base", "base\x00\x00"},
		{"shrink and regrow", func(t *testing.T, f File) { require.NoError(t, f.Truncate(2)); grown(t, f) },
			"base", "ba\x00\x00\x00\x00\x00\x00"},
		{"shrink and write", func(t *testing.T, f File) { require.NoError(t, f.Truncate(0)); write(t, f, "n", 1) },
			"base", "\x00n"},
		{"write past a hole and cut into it", func(t *testing.T, f File) {
			write(t, f, "n", pageSize)
			require.NoError(t, f.Truncate(5))
		}, "base", "base\x00"},
		{"synced", func(t *testing.T, f File) { write(t, f, "XY", 1); require.NoError(t, f.Sync()) }, "bXYe", "bXYe"},
		{"synced shrink", func(t *testing.T, f File) { require.NoError(t, f.Truncate(1)); require.NoError(t, f.Sync()) },
			"b", "b"},
		{"write after sync", func(t *testing.T, f File) {
			write(t, f, "XY", 1)
			require.NoError(t, f.Sync())
			write(t, f, "Z", 2)
		}, "bXYe", "bXZe"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := NewMem()
			require.NoError(t, m.WriteFile("f", []byte("base")))
			c.do(t, openRW(t, m, "f"))
			require.Equal(t, c.kept, text(t, m, "f"))
			require.Equal(t, c.lost, text(t, m.Clone(AllLost()), "f"))
			require.Equal(t, c.kept, text(t, m.Clone(AllKept()), "f"))
			require.Equal(t, c.lost, text(t, m.Clone(RandomBlocks(1, 0)), "f"))
			require.Equal(t, c.kept, text(t, m.Clone(RandomBlocks(1, 100)), "f"))
			require.Equal(t, c.kept, text(t, m, "f"), "a clone changes nothing")
		})
	}
}

func TestEntriesAreDurableOnlyAfterSyncDir(t *testing.T) {
	for _, c := range []struct {
		name       string
		do         func(t *testing.T, m *Mem)
		lost, kept []string
	}{
		{"create", func(t *testing.T, m *Mem) { create(t, m, "d/new", "x") },
			[]string{"d/a", "d/b"}, []string{"d/a", "d/b", "d/new"}},
		{"create and sync the file", func(t *testing.T, m *Mem) { require.NoError(t, create(t, m, "d/new", "x").Sync()) },
			[]string{"d/a", "d/b"}, []string{"d/a", "d/b", "d/new"}},
		{"remove", func(t *testing.T, m *Mem) { require.NoError(t, m.Remove("d/a")) },
			[]string{"d/a", "d/b"}, []string{"d/b"}},
		{"rename", func(t *testing.T, m *Mem) { require.NoError(t, m.Rename("d/a", "d/c")) },
			[]string{"d/a", "d/b"}, []string{"d/b", "d/c"}},
		{"replace", func(t *testing.T, m *Mem) { require.NoError(t, m.Rename("d/a", "d/b")) },
			[]string{"d/a", "d/b"}, []string{"d/b"}},
		{"sync of another directory", func(t *testing.T, m *Mem) {
			create(t, m, "d/new", "x")
			require.NoError(t, m.SyncDir("."))
		}, []string{"d/a", "d/b"}, []string{"d/a", "d/b", "d/new"}},
		{"synced", func(t *testing.T, m *Mem) {
			create(t, m, "d/new", "x")
			require.NoError(t, m.Remove("d/a"))
			require.NoError(t, m.SyncDir("d"))
		}, []string{"d/b", "d/new"}, []string{"d/b", "d/new"}},
		{"lock", func(t *testing.T, m *Mem) { _, err := m.Lock("d/l", "me"); require.NoError(t, err) },
			[]string{"d/a", "d/b"}, []string{"d/a", "d/b", "d/l"}},
		{"rename out, old directory synced", func(t *testing.T, m *Mem) {
			require.NoError(t, m.MkdirAll("e"))
			create(t, m, "d/new", "x")
			require.NoError(t, m.Rename("d/new", "e/new"))
			create(t, m, "e/other", "x")
			require.NoError(t, m.SyncDir("d"))
		}, []string{"d/a", "d/b", "e/new"}, []string{"d/a", "d/b", "e/new", "e/other"}},
		{"rename out, new directory synced", func(t *testing.T, m *Mem) {
			require.NoError(t, m.MkdirAll("e"))
			create(t, m, "d/new", "x")
			create(t, m, "d/other", "x")
			require.NoError(t, m.Rename("d/new", "e/new"))
			require.NoError(t, m.SyncDir("e"))
		}, []string{"d/a", "d/b", "e/new"}, []string{"d/a", "d/b", "d/other", "e/new"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := NewMem()
			require.NoError(t, m.WriteFile("d/a", []byte("A")))
			require.NoError(t, m.WriteFile("d/b", []byte("B")))
			c.do(t, m)
			require.Equal(t, c.kept, m.Names())
			require.Equal(t, c.lost, m.Clone(AllLost()).Names())
			require.Equal(t, c.kept, m.Clone(AllKept()).Names())
			require.Equal(t, c.lost, m.Clone(RandomBlocks(3, 0)).Names())
			require.Equal(t, c.kept, m.Clone(RandomBlocks(3, 100)).Names())
		})
	}
}

func TestRemovedFileReappearsWithItsSyncedContent(t *testing.T) {
	m := NewMem()
	require.NoError(t, m.WriteFile("a", []byte("old")))
	require.NoError(t, m.WriteFile("b", []byte("other")))
	write(t, openRW(t, m, "a"), "NEW", 0)
	require.NoError(t, m.Remove("a"))
	require.NoError(t, m.Rename("b", "a"))
	after := m.Crash(AllLost())
	require.Equal(t, []string{"a", "b"}, after.Names())
	require.Equal(t, "old", text(t, after, "a"))
	require.Equal(t, "other", text(t, after, "b"))
}

func TestDirectoriesAreDurableAtOnce(t *testing.T) {
	m := NewMem()
	require.NoError(t, m.MkdirAll("/x/y"))
	after := m.Crash(AllLost())
	names, err := after.List("x")
	require.NoError(t, err)
	require.Equal(t, []string{"y"}, names)
}

func TestRandomRenameIsAtomic(t *testing.T) {
	seen := map[string]int{}
	for seed := range uint64(100) {
		m := NewMem()
		require.NoError(t, m.WriteFile("CURRENT", []byte("1")))
		f := create(t, m, "tmp", "2")
		require.NoError(t, f.Sync())
		require.NoError(t, m.SyncDir("."))
		require.NoError(t, m.Rename("tmp", "CURRENT"))
		after := m.Crash(RandomBlocks(seed, 50))
		state := fmt.Sprintf("%v %s", after.Names(), text(t, after, "CURRENT"))
		seen[state]++
	}
	require.Len(t, seen, 2, "%v", seen)
	require.Positive(t, seen["[CURRENT] 2"])
	require.Positive(t, seen["[CURRENT tmp] 1"])
}

func TestRandomBlocksAreKeptOneByOneAndHolesAreZero(t *testing.T) {
	const blocks = 4
	old := bytes.Repeat([]byte{'o'}, pageSize)
	fresh := bytes.Repeat([]byte{'n'}, pageSize)
	zeros := make([]byte, pageSize)
	seen := map[string]bool{}
	for seed := range uint64(200) {
		m := NewMem()
		require.NoError(t, m.WriteFile("f", old))
		f := openRW(t, m, "f")
		write(t, f, string(bytes.Repeat(fresh, blocks)), 0)
		b := []byte(text(t, m.Crash(RandomBlocks(seed, 50)), "f"))
		require.Zero(t, len(b)%pageSize)
		shape := ""
		for i := 0; i < len(b); i += pageSize {
			switch block := b[i : i+pageSize]; {
			case bytes.Equal(block, old):
				shape += "o"
			case bytes.Equal(block, fresh):
				shape += "n"
			case bytes.Equal(block, zeros):
				shape += "0"
			default:
				t.Fatalf("seed %d: block %d is torn", seed, i/pageSize)
			}
		}
		require.Regexp(t, "^[on]([0n]*n)?$", shape, "seed %d", seed)
		seen[shape] = true
	}
	require.Len(t, seen, 1<<blocks, "every subset occurs")
}

// A file that was filled with zeros durably and then written over is as long as it
// was, and a mix of zeros and data in the units that the fate keeps or loses.
func TestDataWrittenOverDurableZerosIsMixedWithThem(t *testing.T) {
	for _, c := range []struct {
		fate        func(seed uint64, percent int) Fate
		unit, units int
	}{{RandomBlocks, pageSize, 3}, {MixedSectors, sectorSize, 24}} {
		t.Run(c.fate(0, 50).String(), func(t *testing.T) {
			shapes := map[string]bool{}
			for seed := range uint64(200) {
				m := NewMem()
				require.NoError(t, m.WriteFile("f", make([]byte, 3*pageSize)))
				f := openRW(t, m, "f")
				for off := int64(0); off < 3*pageSize; off += 100 { // writes that straddle the units
					write(t, f, strings.Repeat("n", int(min(100, 3*pageSize-off))), off)
				}
				b := text(t, m.Crash(c.fate(seed, 50)), "f")
				require.Len(t, b, 3*pageSize)
				shape := ""
				for i := 0; i < len(b); i += c.unit {
					require.Equal(t, strings.Repeat(b[i:i+1], c.unit), b[i:i+c.unit], "seed %d: unit %d is torn", seed, i/c.unit)
					shape += b[i : i+1]
				}
				require.Len(t, shape, c.units)
				shapes[shape] = true
			}
			require.GreaterOrEqual(t, len(shapes), min(1<<c.units, 190), "every subset occurs, or nearly never the same")
		})
	}
}

func TestSectorsDecideHowLongAFileIsThatGrew(t *testing.T) {
	sizes := map[int]bool{}
	for seed := range uint64(300) {
		m := NewMem()
		require.NoError(t, m.WriteFile("f", []byte("base")))
		write(t, openRW(t, m, "f"), strings.Repeat("n", 1500), 4)
		b := text(t, m.Crash(MixedSectors(seed, 50)), "f")
		require.Equal(t, "base", b[:4], "what was durable in a sector stays in either state of it")
		sizes[len(b)] = true
	}
	require.Equal(t, map[int]bool{4: true, 512: true, 1024: true, 1504: true}, sizes)
}

// Zeros written behind the end of a file, and a cut of such zeros, are changes of
// the size that a power loss keeps or loses as long as they are not synced.
func TestSizeThatIsNotSyncedMayBeLost(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(t *testing.T, f File)
		sizes  map[int]bool
	}{
		{"extended", func(t *testing.T, f File) {
			_, err := f.WriteAt(make([]byte, pageSize), 2*pageSize)
			require.NoError(t, err)
		}, map[int]bool{2: true, 3: true}},
		{"cut", func(t *testing.T, f File) { require.NoError(t, f.Truncate(pageSize)) }, map[int]bool{1: true, 2: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, fate := range []func(uint64, int) Fate{RandomBlocks, MixedSectors} {
				sizes := map[int]bool{}
				for seed := range uint64(100) {
					m := NewMem()
					require.NoError(t, m.WriteFile("f", make([]byte, 2*pageSize)))
					f := openRW(t, m, "f")
					c.change(t, f)
					sizes[(len(text(t, m.Clone(fate(seed, 50)), "f"))+pageSize-1)/pageSize] = true
					require.NoError(t, f.Sync())
					require.Equal(t, text(t, m, "f"), text(t, m.Crash(fate(seed, 50)), "f"))
				}
				require.Equal(t, c.sizes, sizes)
			}
		})
	}
}

func TestRandomBlocksChooseForEachFileByItself(t *testing.T) {
	seen := map[string]bool{}
	for seed := range uint64(50) {
		m := NewMem()
		for _, name := range []string{"a", "b"} {
			require.NoError(t, m.WriteFile(name, []byte("0")))
			write(t, openRW(t, m, name), "1", 0)
		}
		fate := RandomBlocks(seed, 50)
		first, again := m.Clone(fate), m.Clone(fate)
		require.Equal(t, text(t, first, "a"), text(t, again, "a"))
		require.Equal(t, text(t, first, "b"), text(t, again, "b"))
		seen[text(t, first, "a")+text(t, first, "b")] = true
	}
	require.Len(t, seen, 4)
}

func TestFateSaysWhatItIs(t *testing.T) {
	require.Equal(t, "data=lost,entries=lost,percent=0,seed=0", AllLost().String())
	require.Equal(t, "data=kept,entries=kept,percent=0,seed=0", AllKept().String())
	require.Equal(t, "data=random,entries=random,percent=30,seed=7", RandomBlocks(7, 30).String())
	require.Equal(t, "data=sectors,entries=random,percent=40,seed=8", MixedSectors(8, 40).String())
	require.Equal(t, "data=torn,entries=kept,percent=50,seed=9", TornLastWrite(9).String())
}

func TestRandomFateMayLoseATruncation(t *testing.T) {
	seen := map[string]bool{}
	for seed := range uint64(50) {
		m := NewMem()
		require.NoError(t, m.WriteFile("f", make([]byte, 3*pageSize)))
		require.NoError(t, openRW(t, m, "f").Truncate(pageSize))
		seen[fmt.Sprint(len(text(t, m.Crash(RandomBlocks(seed, 50)), "f"))/pageSize)] = true
	}
	require.Equal(t, map[string]bool{"1": true, "3": true}, seen)
}

func TestTornWriteIsCutAtASectorAndTheRestIsOldZeroOrGarbage(t *testing.T) {
	const off, size = 700, 3000 // Boundaries inside: 1024, 1536, 2048, 2560, 3072, 3584.
	for _, before := range []int{0, 2000, 8000} {
		t.Run(fmt.Sprintf("file of %d", before), func(t *testing.T) {
			cuts, rests := map[int]bool{}, map[string]bool{}
			for seed := range uint64(300) {
				m := NewMem()
				require.NoError(t, m.WriteFile("f", bytes.Repeat([]byte{'o'}, before)))
				f := openRW(t, m, "f")
				write(t, f, "first", 10)
				write(t, f, string(bytes.Repeat([]byte{'n'}, size)), off)
				whole := []byte(text(t, m, "f"))
				b := []byte(text(t, m.Crash(TornLastWrite(seed)), "f"))

				require.Equal(t, "first", string(b[10:15]), "earlier writes are kept")
				cut := off
				for cut < len(b) && cut < off+size && b[cut] == 'n' {
					cut++
				}
				// Garbage may go on with the byte that was written.
				if cut != off {
					cut -= cut % sectorSize
				}
				cuts[cut] = true
				require.Less(t, cut, off+size)
				end := min(off+size, len(b))
				require.Equal(t, whole[end:len(b)], b[end:], "bytes past the write are left alone")
				old := append(bytes.Repeat([]byte{'o'}, before), make([]byte, off+size)...)
				switch rest := b[cut:end]; {
				case len(b) == max(before, cut, 15) && bytes.Equal(rest, old[cut:end]):
					rests["old"] = true
				case len(b) == len(whole) && bytes.Equal(rest, make([]byte, len(rest))):
					rests["zeros"] = true
				default:
					require.Len(t, b, len(whole))
					rests["garbage"] = true
				}
			}
			require.Len(t, cuts, 7)
			require.Len(t, rests, 3)
		})
	}
}

// Writing again what a file holds durably is safe, be the write torn or not; what
// it holds only in the cache of the system is not.
func TestTornWriteOfTheSameBytesHarmsOnlyWhatWasNotDurable(t *testing.T) {
	same := strings.Repeat("d", 3000)
	for _, durable := range []bool{true, false} {
		harmed := 0
		for seed := range uint64(100) {
			m := NewMem()
			require.NoError(t, m.WriteFile("f", []byte(same[:2000])))
			f := openRW(t, m, "f")
			write(t, f, same[2000:], 2000)
			if durable {
				require.NoError(t, f.Sync())
			}
			write(t, f, same[700:], 700)
			b := text(t, m.Crash(TornLastWrite(seed)), "f")
			require.Equal(t, same[:1536], b[:1536], "seed %d: these sectors were durable", seed)
			if b != same {
				harmed++
			}
		}
		if durable {
			require.Zero(t, harmed)
		} else {
			require.Positive(t, harmed)
		}
	}
}

func TestTornWriteLeavesWhatASectorHeldAndWasGivenAgain(t *testing.T) {
	for seed := range uint64(100) {
		m := NewMem()
		require.NoError(t, m.WriteFile("f", []byte("0123456789")))
		write(t, openRW(t, m, "f"), "456789"+strings.Repeat("n", 1000), 4)
		b := text(t, m.Crash(TornLastWrite(seed)), "f")
		require.Equal(t, "0123456789", b[:10], "seed %d: either state of the sector begins so", seed)
	}
}

func TestTornFateLeavesSyncedWritesWhole(t *testing.T) {
	for seed := range uint64(20) {
		m := NewMem()
		require.NoError(t, m.WriteFile("f", []byte("0000")))
		f := openRW(t, m, "f")
		write(t, f, "1111", 0)
		require.NoError(t, f.Sync())
		require.Equal(t, "1111", text(t, m.Clone(TornLastWrite(seed)), "f"))
		write(t, f, "22", 1)
		require.NoError(t, f.Truncate(2))
		require.Equal(t, "12", text(t, m.Clone(TornLastWrite(seed)), "f"))
	}
}

func TestWhatIsFoundAfterACrashIsDurable(t *testing.T) {
	m := NewMem()
	m.SetCapacity(100)
	create(t, m, "a", "unsynced")
	once := m.Crash(AllKept())
	twice := once.Crash(AllLost())
	require.Equal(t, "unsynced", text(t, twice, "a"))
	free, err := twice.Free(".")
	require.NoError(t, err)
	require.EqualValues(t, 92, free)
}

func TestDeadFileSystemRefusesEveryCall(t *testing.T) {
	m := NewMem()
	f := create(t, m, "a", "x")
	lock, err := m.Lock("l", "me")
	require.NoError(t, err)
	ops, reads := m.Ops(), m.Reads()
	after := m.Crash(AllKept())

	for name, call := range map[string]func() error{
		"create":   func() error { _, err := m.Create("b"); return err },
		"open":     func() error { _, err := m.Open("a"); return err },
		"openrw":   func() error { _, err := m.OpenReadWrite("a"); return err },
		"remove":   func() error { return m.Remove("a") },
		"rename":   func() error { return m.Rename("a", "b") },
		"list":     func() error { _, err := m.List("."); return err },
		"mkdir":    func() error { return m.MkdirAll("d") },
		"syncdir":  func() error { return m.SyncDir(".") },
		"lock":     func() error { _, err := m.Lock("l2", ""); return err },
		"free":     func() error { _, err := m.Free("."); return err },
		"read":     func() error { _, err := f.ReadAt(make([]byte, 1), 0); return err },
		"write":    func() error { _, err := f.WriteAt([]byte("y"), 0); return err },
		"sync":     f.Sync,
		"truncate": func() error { return f.Truncate(0) },
		"size":     func() error { _, err := f.Size(); return err },
		"close":    f.Close,
		"unlock":   lock.Close,
	} {
		require.ErrorIs(t, call(), ErrPowerLost, name)
	}
	require.Equal(t, ops, m.Ops())
	require.Equal(t, reads, m.Reads())
	require.Equal(t, "x", text(t, after, "a"))

	again, err := after.Lock("l", "me again")
	require.NoError(t, err, "a crash releases locks")
	require.NoError(t, again.Close())
	require.Equal(t, "x", text(t, m.Crash(AllKept()), "a"), "the disk of a dead system can be read again")
}

func TestCloneAndOriginalDoNotShareChanges(t *testing.T) {
	m := NewMem()
	require.NoError(t, m.WriteFile("a", []byte("durable")))
	f := openRW(t, m, "a")
	write(t, f, "D", 0)
	c := m.Clone(AllKept())
	write(t, f, "Z", 0)
	write(t, openRW(t, c, "a"), "E", 6)
	require.Equal(t, "Zurable", text(t, m, "a"))
	require.Equal(t, "DurablE", text(t, c, "a"))
	require.NoError(t, f.Sync())
	require.NoError(t, m.Remove("a"))
	require.Equal(t, "Durable", text(t, c.Clone(AllLost()), "a"))
	_, err := m.ReadFile("a")
	require.ErrorIs(t, err, fs.ErrNotExist)
}

// replaceFile is the protocol that stores rely on, with the option to leave out
// one of its syncs.
func replaceFile(m *Mem, data []byte, syncFile, syncDir bool) error {
	f, err := m.Create("tmp")
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(data, 0); err != nil {
		return err
	}
	if syncFile {
		if err := f.Sync(); err != nil {
			return err
		}
	}
	if err := m.Rename("tmp", "CURRENT"); err != nil {
		return err
	}
	if syncDir {
		return m.SyncDir(".")
	}
	return nil
}

func TestCrashSweepTellsASoundProtocolFromOnesThatLackASync(t *testing.T) {
	before, data := strings.Repeat("b", 3*pageSize), strings.Repeat("d", 3*pageSize)
	// violations counts the crashes, over every call and many fates, after
	// which the file is neither old nor new, or old though it was acknowledged.
	violations := func(syncFile, syncDir bool) (n int) {
		fates := []Fate{AllLost(), AllKept(), {Data: DataLost, Entries: EntriesKept}}
		for seed := range uint64(10) {
			fates = append(fates, RandomBlocks(seed, 50), TornLastWrite(seed))
		}
		for _, fate := range fates {
			for at := int64(1); ; at++ {
				m := NewMem()
				require.NoError(t, m.WriteFile("CURRENT", []byte(before)))
				m.SetInjector(func(op Op) Fault {
					return Fault{CrashNow: op.Kind.Mutates() && op.N == at}
				})
				err := replaceFile(m, []byte(data), syncFile, syncDir)
				got := text(t, m.Crash(fate), "CURRENT")
				if got != data && (got != before || err == nil) {
					n++
				}
				if err == nil {
					break
				}
			}
		}
		return n
	}
	require.Zero(t, violations(true, true))
	require.Positive(t, violations(false, true))
	require.Positive(t, violations(true, false))
}
