package backup

import (
	"context"
	"io"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/state"
	"github.com/empyrealapp/aedb-go/wal"
)

const (
	// logBytes is the size from which a piece of log is ended: what is in memory at
	// a time when one is made or read. It may be exceeded by one frame.
	logBytes = 16 << 20
	// frameBytes is the size from which a frame in it is ended.
	frameBytes = 256 << 10
	// maxLogBytes bounds what is read as a piece of log.
	maxLogBytes = logBytes + wal.MaxFrameBytes + wal.FrameOverhead
)

// Commits reads commits of a store's history: it calls visit with those above
// after, up to last, in order. What visit is given is valid during its call only.
// A commit that the log no longer holds is errs.CodeSeqGarbageCollected.
type Commits func(after, last uint64, visit func(*msgs.Changeset) error) error

// WriteIncremental takes an incremental backup: the commits behind the parent, up
// to the image, which are all durable. With digest it also records the digest of
// the image, which is read whole for that.
//
// It fails with errs.CodeSeqGarbageCollected if the log no longer reaches back to
// the parent, and with errs.CodeValidation if the parent is of another history:
// then it takes a full backup to go on. No new commits are an empty link.
func WriteIncremental(ctx context.Context, to Sink, origin Origin, parent *Manifest, image *state.Image, commits Commits, digest bool, o Options) (Manifest, error) {
	if err := o.validate(); err != nil {
		return Manifest{}, err
	}
	if err := Continues(origin, parent, image.Seq(), commits); err != nil {
		return Manifest{}, err
	}
	m := origin.manifest(Incremental, image.Seq(), o.Seal)
	m.Parent = &Parent{ID: parent.ID, Digest: parent.digest}
	m.FromSeq, m.Micros, m.Tip = parent.Seq+1, image.Micros(), parent.Tip
	m.Volatile = parent.Volatile
	p := pieces{ctx: ctx, to: to, options: o, manifest: &m}
	err := commits(parent.Seq, m.Seq, p.add)
	if err == nil {
		err = p.end()
	}
	if err == nil {
		if err = m.validate(); err != nil {
			err = errs.Wrap(errs.CodeIntegrity, err, "the log does not hold the commits %d to %d", m.FromSeq, m.Seq)
		}
	}
	if err != nil {
		takeBack(ctx, to, m.objectNames())
		return Manifest{}, tooOld(err, parent)
	}
	if digest && !m.Volatile {
		d := Digest(image.Digest())
		m.State = &d
	}
	return m, putManifest(ctx, to, &m, o.Keys)
}

// Continues checks that the history of a store, which has come to the commit head, is
// the one that a backup is of, and goes on where that ends. Its errors are those of
// WriteIncremental.
func Continues(origin Origin, parent *Manifest, head uint64, commits Commits) error {
	other := func(format string, args ...any) error {
		return errs.Wrap(errs.CodeValidation, errs.New(errs.CodeValidation, format, args...),
			"backup %s is of another history; take a full backup", parent.ID).On(parent.ID)
	}
	switch {
	case parent.digest == Digest{}:
		return errs.New(errs.CodeValidation, "the parent's manifest was not read from a store")
	case parent.Incarnation != origin.Incarnation:
		return other("it is of store %s, and this is %s", parent.Incarnation, origin.Incarnation)
	case parent.KeyEncoding != origin.KeyEncoding:
		return other("it has key encoding %d, and the store %d", parent.KeyEncoding, origin.KeyEncoding)
	case parent.EverPermissive != origin.EverPermissive:
		return other("the store was opened in permissive recovery since, which may have given up commits")
	case parent.Seq > head:
		return other("it ends at commit %d, and the store at %d", parent.Seq, head)
	case parent.Tip == nil:
		return nil
	}
	var tip Digest
	err := commits(parent.Seq-1, parent.Seq, func(c *msgs.Changeset) error {
		tip = DigestOf(c)
		return nil
	})
	if err != nil {
		return tooOld(err, parent)
	}
	if tip != *parent.Tip {
		return other("its commit %d is not the one in the log", parent.Seq)
	}
	return nil
}

// tooOld says what to do when the log does not reach back to the parent.
func tooOld(err error, parent *Manifest) error {
	if errs.CodeOf(err) != errs.CodeSeqGarbageCollected {
		return err
	}
	return errs.Wrap(errs.CodeSeqGarbageCollected, err,
		"the log no longer reaches back to commit %d, where backup %s ends; take a full backup", parent.Seq, parent.ID).On(parent.ID)
}

// pieces writes commits as pieces of log. Each is a log segment of its own, with
// the store's incarnation, and numbered from 1 within the backup. What chains them
// is the manifest.
type pieces struct {
	ctx      context.Context
	to       Sink
	options  Options
	manifest *Manifest

	writer *wal.Writer // of the piece being made, nil between two
	data   []byte
	frame  []msgs.Changeset // copies, not in data yet
	bytes  int              // of them, about
}

// add takes the next commit.
func (p *pieces) add(c *msgs.Changeset) error {
	if p.ctx.Err() != nil {
		return errs.FromContext(p.ctx, "take an incremental backup")
	}
	m := p.manifest
	m.Volatile = m.Volatile || c.Volatile
	if c.Seq == m.Seq {
		d := DigestOf(c)
		m.Tip = &d
	}
	size := sizeOf(c)
	if len(p.frame) > 0 && p.bytes+size > frameBytes {
		if err := p.flush(); err != nil {
			return err
		}
	}
	p.frame = append(p.frame, copyOf(c))
	p.bytes += size
	if c.Seq%4096 == 0 {
		p.options.tell(WriteLog, m.ID, int64(c.Seq-m.FromSeq)+1, int64(m.Seq-m.FromSeq)+1)
	}
	if len(p.data)+p.bytes >= logBytes {
		return p.end()
	}
	return nil
}

// flush encodes the frame being gathered.
func (p *pieces) flush() error {
	if len(p.frame) == 0 {
		return nil
	}
	m := p.manifest
	first := p.frame[0].Seq
	if p.writer == nil {
		header := wal.Header{
			Incarnation: m.Incarnation, Number: uint64(len(m.Objects)) + 1, Term: 1,
			FirstSeq: first, CreatedMicros: m.CreatedMicros,
		}
		writer, data, err := wal.NewWriter(header)
		if err != nil {
			return err
		}
		p.writer, p.data = writer, data
	}
	data, err := p.writer.AppendFrame(p.data, 1, first-1, p.frame)
	if err != nil {
		return err
	}
	p.data, p.bytes = data, 0
	clear(p.frame)
	p.frame = p.frame[:0]
	return nil
}

// end puts the piece being made.
func (p *pieces) end() error {
	if err := p.flush(); err != nil || p.writer == nil {
		return err
	}
	m := p.manifest
	object, err := putObject(p.ctx, p.to, p.options, logName(m.ID, len(m.Objects)+1), func(out io.Writer) error {
		_, err := out.Write(p.data)
		return err
	})
	if err != nil {
		return err
	}
	object.FirstSeq, object.LastSeq = p.writer.Header().FirstSeq, p.writer.NextSeq()-1
	m.Objects = append(m.Objects, object)
	p.writer, p.data = nil, nil
	p.options.tell(WriteLog, m.ID, int64(object.LastSeq-m.FromSeq)+1, int64(m.Seq-m.FromSeq)+1)
	return nil
}

// sizeOf is about what a commit takes in a frame.
func sizeOf(c *msgs.Changeset) int {
	n := 16
	for i := range c.Effects {
		n += 16 + len(c.Effects[i].Key) + len(c.Effects[i].Value)
	}
	return n
}

// copyOf returns a commit that shares nothing with what it was read from. A
// volatile one is without its effects, as in the log.
func copyOf(c *msgs.Changeset) msgs.Changeset {
	made := msgs.Changeset{Seq: c.Seq, Micros: c.Micros, Volatile: c.Volatile}
	if c.Volatile {
		return made
	}
	bytes := make([]byte, 0, sizeOf(c))
	keep := func(b []byte) []byte {
		bytes = append(bytes, b...)
		return bytes[len(bytes)-len(b) : len(bytes) : len(bytes)]
	}
	made.Effects = make([]msgs.Effect, len(c.Effects))
	for i, e := range c.Effects {
		made.Effects[i] = msgs.Effect{Op: e.Op, Space: e.Space, Key: keep(e.Key), Value: keep(e.Value)}
	}
	return made
}
