package backup

import (
	"context"
	"encoding/binary"
	"errors"
	"io"

	"github.com/zeebo/blake3"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/wal"
)

// readLog reads a piece of log and hands its commits to visit in order. What they
// hold stays valid.
func readLog(ctx context.Context, from Store, o Options, m *Manifest, i int, visit func(*msgs.Changeset) error) error {
	object := &m.Objects[i]
	var data []byte
	err := readObject(ctx, from, o, m.Sealed, object, func(in io.Reader) error {
		var err error
		data, err = io.ReadAll(io.LimitReader(in, maxLogBytes))
		return err
	})
	if err != nil {
		return err
	}
	next := object.FirstSeq
	header, end, err := wal.Scan(data, func(f wal.Frame) error {
		for i := range f.Sets {
			if f.Sets[i].Seq != next {
				return errs.New(errs.CodeIntegrity, "commit %d is where %d is expected", f.Sets[i].Seq, next)
			}
			next++
			if err := visit(&f.Sets[i]); err != nil {
				return err
			}
		}
		return nil
	})
	switch {
	case errors.Is(err, errEnough):
		return err
	case err != nil:
		return failed(err, "read %s", object.Name).On(object.Name)
	case end.Verdict != wal.Clean || end.Offset != len(data) || next != object.LastSeq+1:
		return damaged(object.Name, "%s ends at commit %d of %d", object.Name, next-1, object.LastSeq)
	case header.Incarnation != m.Incarnation || header.Number != uint64(i)+1:
		return damaged(object.Name, "%s is of another store, or not piece %d of its backup", object.Name, i+1)
	}
	return nil
}

// errEnough ends the reading of a log.
var errEnough = errors.New("no more commits are wanted")

// DigestOf returns the digest of a commit as the log holds it: a BLAKE3 hash of
// its seq, its time, and its effects, of which a volatile one has none.
func DigestOf(c *msgs.Changeset) Digest {
	h := blake3.New()
	var buf []byte
	buf = binary.BigEndian.AppendUint64(buf, c.Seq)
	buf = binary.BigEndian.AppendUint64(buf, uint64(c.Micros))
	effects := c.Effects
	if c.Volatile {
		buf, effects = append(buf, 1), nil
	} else {
		buf = append(buf, 0)
	}
	for i := range effects {
		e := effects[i]
		if e.Op != msgs.EffectPut {
			e.Value = nil
		}
		if e.Op == msgs.EffectDropSpace {
			e.Key = nil
		}
		buf = append(buf, byte(e.Op))
		buf = binary.BigEndian.AppendUint64(buf, uint64(e.Space))
		buf = binary.BigEndian.AppendUint32(buf, uint32(len(e.Key)))
		buf = append(buf, e.Key...)
		buf = binary.BigEndian.AppendUint32(buf, uint32(len(e.Value)))
		buf = append(buf, e.Value...)
		if len(buf) > 64<<10 {
			h.Write(buf) // a Hasher never fails
			buf = buf[:0]
		}
	}
	h.Write(buf)
	var d Digest
	h.Sum(d[:0])
	return d
}
