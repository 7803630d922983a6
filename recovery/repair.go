package recovery

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/manifest"
	"github.com/empyrealapp/aedb-go/wal"
)

// repair makes the directory say what was recovered. Whatever it does can be
// interrupted at any point and is done again by the next opening; from here on
// the context is not looked at.
func (r *recoverer) repair(context.Context) error {
	h := &r.log
	if h.damage != nil {
		// The mark comes first: once the log is cut, nothing else tells that there
		// was more.
		if err := r.storeManifest(); err != nil {
			return err
		}
		if err := r.drop(); err != nil {
			return err
		}
	}
	for _, s := range h.unsettled {
		if r.leaveActive(s) {
			if err := r.secure(s); err != nil {
				return err
			}
			continue
		}
		if err := r.settle(s); err != nil {
			return err
		}
		r.reportTorn(s, int64(s.end.Offset))
	}
	if h.empty != nil {
		if err := r.remove(h.empty.name()); err != nil {
			return err
		}
		r.reportTorn(h.empty, 0)
	}
	if r.rewrite && h.damage == nil {
		if err := r.storeManifest(); err != nil {
			return err
		}
	}
	for _, name := range r.files.temps {
		_ = r.FS.Remove(r.path(name)) // it means nothing, also if it stays
	}
	return nil
}

// storeManifest puts a generation in force that lists what was recovered.
func (r *recoverer) storeManifest() error {
	m := r.manifest
	m.Generation++
	m.CreatedMicros = r.Clock.Now().UnixMicro()
	m.EverPermissive = m.EverPermissive || r.Mode == Permissive
	m.DurableSeq = r.seq
	m.ActiveSegment = r.log.next
	m.Segments = nil
	for _, s := range r.log.sealed {
		m.Segments = append(m.Segments, manifest.Segment{
			Number: s.Number, FirstSeq: s.FirstSeq, LastSeq: s.LastSeq, Size: s.Size, Digest: s.Digest,
		})
	}
	if err := manifest.StoreSigned(r.FS, r.Dir, m, r.Sealing.Ring); err != nil {
		return err
	}
	r.manifest = m
	return nil
}

// drop sets aside the segments behind the damage, the last one first, so that
// what is left is a log without a gap at any time.
func (r *recoverer) drop() error {
	h := &r.log
	dropped := &Dropped{Reason: h.damage.refuse(), FromSeq: r.seq + 1}
	r.warn(h.damage.Error())
	for _, s := range slices.Backward(h.dropped) {
		data, kept, err := r.lost(s)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		aside := fmt.Sprintf("%s.%d.dropped", s.name(), r.manifest.Generation)
		switch kept {
		case 0: // also if it is empty: its number is that of the segment to be begun
			err = r.rename(s.name(), aside)
		case len(data):
			continue
		default: // a copy is set aside, for the good frames stay
			err = r.replaceFile(aside, data)
		}
		if err != nil {
			return err
		}
		dropped.Files = append(dropped.Files, s.name())
		dropped.Bytes += int64(len(data) - kept)
	}
	slices.Reverse(dropped.Files)
	r.report.Dropped = dropped
	return nil
}

// lost reads a segment behind the damage, and tells how many bytes at its start are
// kept.
func (r *recoverer) lost(s *scan) (data []byte, kept int, err error) {
	if data, err = r.readFile(s.name(), -1); err != nil {
		return nil, 0, err
	}
	if n := len(r.log.sealed); n > 0 && r.log.sealed[n-1].Number == s.number {
		kept = s.end.Offset
	}
	// Zeros behind it were space for frames, and are no loss.
	return data[:max(kept, len(bytes.TrimRight(data, "\x00")))], kept, nil
}

// reportTorn reports what is cut off a segment that ends at size now.
func (r *recoverer) reportTorn(s *scan, size int64) {
	if r.log.damage != nil || s.badErr == nil && s.end.Verdict != wal.Torn {
		return
	}
	r.report.Torn = Torn{File: s.name(), Offset: size, Bytes: s.size - size}
	if r.examined != nil {
		return
	}
	r.warn(fmt.Sprintf("%s: %d bytes at offset %d, left by a crash and promised to nobody, were cut off", s.name(), s.size-size, size))
}

// replaceFile makes data the durable content of a file, by way of a temporary
// one.
func (r *recoverer) replaceFile(name string, data []byte) error {
	err := r.writeFile(name+tempSuffix, data)
	if err != nil {
		return errs.Wrap(errs.CodeIO, err, "write %s", name).On(name)
	}
	return r.rename(name+tempSuffix, name)
}

func (r *recoverer) writeFile(name string, data []byte) error {
	if err := r.FS.Remove(r.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := r.FS.Create(r.path(name))
	if err != nil {
		return err
	}
	_, err = f.WriteAt(data, 0)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func (r *recoverer) rename(from, to string) error {
	if err := r.FS.Rename(r.path(from), r.path(to)); err != nil {
		return errs.Wrap(errs.CodeIO, err, "rename %s to %s", from, to).On(to)
	}
	return r.syncDir()
}

func (r *recoverer) remove(name string) error {
	if err := r.FS.Remove(r.path(name)); err != nil {
		return errs.Wrap(errs.CodeIO, err, "remove %s", name).On(name)
	}
	return r.syncDir()
}

func (r *recoverer) syncDir() error {
	if err := r.FS.SyncDir(r.Dir); err != nil {
		return errs.Wrap(errs.CodeIO, err, "sync the directory %s", r.Dir).On(r.Dir)
	}
	return nil
}

// nextHeader returns the header of the segment that continues the log.
func (r *recoverer) nextHeader() wal.Header {
	return wal.Header{
		Incarnation: r.manifest.Incarnation, Number: r.log.next, Term: 1, FirstSeq: r.seq + 1,
		CreatedMicros: r.Clock.Now().UnixMicro(), Previous: r.log.previous,
	}
}
