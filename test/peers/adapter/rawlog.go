package adapter

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/empyrealapp/aedb-go/test/peers/store"
)

// The raw logs are what the disk can do: frames with a checksum, nothing else.
// Concurrent callers share a write and a sync, led by one of them. "append"
// makes its file longer with every write; "prezeroed" writes into segments that
// were zeroed and synced beforehand, so that fdatasync need not touch the
// file's metadata.
var rawLevels = map[store.Level]store.Guarantee{
	store.Power:   {Given: store.Power, How: "fdatasync per group"},
	store.Process: {Given: store.Process, How: "write per group, no sync"},
}

var _ = register(&store.Peer{
	Name: "append", Role: store.Limit, Levels: rawLevels,
	Open: func(dir string, l store.Level) (store.Store, error) { return openRawLog(dir, l, 0) },
})

var _ = register(&store.Peer{
	Name: "prezeroed", Role: store.Limit,
	Levels: map[store.Level]store.Guarantee{store.Power: rawLevels[store.Power]},
	Open: func(dir string, l store.Level) (store.Store, error) {
		return openRawLog(dir, l, 64<<20)
	},
})

// rawLog is a log of frames: length, CRC-32C, body. A length of zero ends it.
type rawLog struct {
	file    *os.File
	sync    bool
	segment int64 // zeroed at once; 0 when the file grows by appending

	mu     sync.Mutex
	filled *group // collects frames
	busy   bool   // a leader is writing
	offset int64
	zeroed int64 // end of the zeroed part
	frames int
	spare  []byte
}

// group is the frames that are written together.
type group struct {
	frames []byte
	count  int
	lead   chan struct{} // holds a token when one of the group has to write it
	done   chan struct{} // closed when it is written
	err    error
}

const rawHeader = 8

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// openRawLog opens the log and reads and checks all of it.
func openRawLog(dir string, l store.Level, segment int64) (*rawLog, error) {
	file, err := os.OpenFile(filepath.Join(dir, "raw.log"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	s := &rawLog{file: file, sync: l == store.Power, segment: segment, filled: newGroup(nil)}
	if err := s.replay(); err != nil {
		return nil, err
	}
	return s, s.prepare(s.offset)
}

func newGroup(buf []byte) *group {
	return &group{frames: buf[:0], lead: make(chan struct{}, 1), done: make(chan struct{})}
}

func (s *rawLog) replay() error {
	size, err := s.file.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	s.zeroed = size
	r := bufio.NewReaderSize(io.NewSectionReader(s.file, 0, size), 1<<20)
	var header [rawHeader]byte
	var body []byte
	for {
		_, err := io.ReadFull(r, header[:])
		n := int(binary.LittleEndian.Uint32(header[:4]))
		if errors.Is(err, io.EOF) || err == nil && n == 0 {
			return nil
		}
		if err != nil {
			return err
		}
		if n > 1<<26 {
			return fmt.Errorf("frame at %d has the length %d", s.offset, n)
		}
		if cap(body) < n {
			body = make([]byte, n)
		}
		if _, err := io.ReadFull(r, body[:n]); err != nil {
			return err
		}
		if crc32.Checksum(body[:n], castagnoli) != binary.LittleEndian.Uint32(header[4:]) {
			return fmt.Errorf("frame at %d is damaged", s.offset)
		}
		s.offset += int64(rawHeader + n)
		s.frames++
	}
}

// prepare zeroes segments until the file reaches beyond end.
func (s *rawLog) prepare(end int64) error {
	if s.segment == 0 || end < s.zeroed {
		return nil
	}
	// By the page: larger writes make larger units of the page cache, and a small
	// write then counts as one to all of its unit.
	zeros := make([]byte, 4096)
	for until := s.zeroed + s.segment; s.zeroed < until; s.zeroed += int64(len(zeros)) {
		if _, err := s.file.WriteAt(zeros, s.zeroed); err != nil {
			return err
		}
	}
	return s.file.Sync()
}

// Close syncs what an unsynced log has written.
func (s *rawLog) Close() error { return errors.Join(s.file.Sync(), s.file.Close()) }

func (s *rawLog) Put(key, val []byte) error {
	return s.commit(func(g *group) { g.add(key, val) })
}

func (s *rawLog) Delete(key []byte) error { return s.Put(key, nil) }

func (s *rawLog) PutBatch(keys, vals [][]byte) error {
	return s.commit(func(g *group) {
		for i, key := range keys {
			g.add(key, vals[i])
		}
	})
}

// Transfer writes the record of a transfer without reading or checking anything.
func (s *rawLog) Transfer(from, to []byte, amount uint64) error {
	var sums [16]byte
	binary.BigEndian.PutUint64(sums[8:], amount)
	return s.commit(func(g *group) {
		g.add(from, sums[:8])
		g.add(to, sums[8:])
	})
}

// InsertRows writes the records of rows without a table or an index.
func (s *rawLog) InsertRows(rows []store.Row) error {
	return s.commit(func(g *group) {
		for i := range rows {
			r := &rows[i]
			var fixed [17]byte
			binary.BigEndian.PutUint64(fixed[:], uint64(r.ID))
			binary.BigEndian.PutUint64(fixed[8:], uint64(r.Amount))
			g.add(fixed[:], []byte(r.Owner+r.Note))
		}
	})
}

// Count returns the frames that are in the log.
func (s *rawLog) Count() (int, error) { return s.frames, nil }

func (g *group) add(key, val []byte) {
	start := len(g.frames)
	g.frames = append(g.frames, make([]byte, rawHeader)...)
	g.frames = append(append(g.frames, key...), val...)
	body := g.frames[start+rawHeader:]
	binary.LittleEndian.PutUint32(g.frames[start:], uint32(len(body)))
	binary.LittleEndian.PutUint32(g.frames[start+4:], crc32.Checksum(body, castagnoli))
	g.count++
}

// commit adds frames to the group that is being filled and waits until it is
// written. A caller that finds nobody writing writes the group itself, and then
// passes the lead to one of those who have come since.
func (s *rawLog) commit(add func(*group)) error {
	s.mu.Lock()
	g := s.filled
	add(g)
	if s.busy {
		s.mu.Unlock()
		select {
		case <-g.done:
			return g.err
		case <-g.lead:
		}
		s.mu.Lock()
	}
	s.busy = true
	s.filled, s.spare = newGroup(s.spare), nil
	s.mu.Unlock()

	g.err = s.write(g)
	close(g.done)

	s.mu.Lock()
	s.spare = g.frames
	if s.filled.count > 0 {
		s.filled.lead <- struct{}{}
	} else {
		s.busy = false
	}
	s.mu.Unlock()
	return g.err
}

// write is called by the leader alone.
func (s *rawLog) write(g *group) error {
	if err := s.prepare(s.offset + int64(len(g.frames)) + rawHeader); err != nil {
		return err
	}
	if _, err := s.file.WriteAt(g.frames, s.offset); err != nil {
		return err
	}
	s.offset += int64(len(g.frames))
	s.frames += g.count
	if s.sync {
		return unix.Fdatasync(int(s.file.Fd()))
	}
	return nil
}
