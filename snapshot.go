package aedb

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/reader"
	"github.com/empyrealapp/aedb-go/state"
)

// Consistency chooses the snapshot that a read sees. The zero value is AtLatest.
type Consistency struct {
	kind consistency
	seq  uint64
}

type consistency uint8

const (
	latest consistency = iota
	durable
	atSeq
	checkpoint
)

// Consistency modes.
var (
	// AtLatest sees every commit that was acknowledged before the read began. It never
	// waits for a disk, nor for writers, but that the first read after a time without
	// readers lets the commits that are being executed end; see
	// OperationalMetrics.ImageWaitLatency.
	AtLatest = Consistency{}
	// AtDurable sees nothing that a crash could lose, but for what Volatile commits
	// before the durable head have written. In Full mode it is the same as AtLatest,
	// Volatile commits behind that head aside; else it lags by the commits that are not
	// yet synced.
	AtDurable = Consistency{kind: durable}
	// AtCheckpoint sees the state of the newest checkpoint.
	AtCheckpoint = Consistency{kind: checkpoint}
)

// AtSeq sees the state right after one commit: any recent one (see
// Config.Reads), or one that a cursor or an open read transaction holds on to.
func AtSeq(seq uint64) Consistency { return Consistency{kind: atSeq, seq: seq} }

// image returns the state that a read with this consistency sees.
func (db *DB) image(c Consistency) (*state.Image, error) {
	if err := db.alive(); err != nil {
		return nil, err
	}
	heads := db.pipeline.Heads()
	switch c.kind {
	case durable:
		return heads.DurableImage(), nil
	case checkpoint:
		if image := db.keeper.Latest(); image != nil {
			return image, nil
		}
		return nil, errs.New(errs.CodeUnavailable, "the store has no checkpoint yet")
	case atSeq:
		return db.imageAt(c.seq)
	}
	return heads.Visible(), nil
}

// imageAt returns the state right after a commit.
func (db *DB) imageAt(seq uint64) (*state.Image, error) {
	head := db.pipeline.Heads().Visible()
	switch {
	case seq == head.Seq():
		return head, nil
	case seq > head.Seq():
		return nil, errs.New(errs.CodeSeqNotYetVisible, "commit %d is above the visible head, %d", seq, head.Seq())
	}
	if image := db.reads.pins.get(seq); image != nil {
		return image, nil
	}
	if image := db.keeper.Latest(); image != nil && image.Seq() == seq {
		return image, nil
	}
	return db.pipeline.History().At(seq, head)
}

// pins holds on to the images that issued cursors continue, each for a while
// after its last use.
type pins struct {
	mu     sync.Mutex
	maxAge time.Duration
	images map[uint64]*pin
	closed bool
}

type pin struct {
	image *state.Image
	used  time.Time
}

// maxPins bounds the images that cursors hold; beyond it the one that was not
// used for longest is let go.
const maxPins = 64

func (p *pins) expireAfter(age time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.maxAge = age
}

func (p *pins) put(image *state.Image) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	if p.images == nil {
		p.images = map[uint64]*pin{}
	}
	p.sweep()
	oldest := &pin{image, time.Now()}
	p.images[image.Seq()] = oldest
	if len(p.images) <= maxPins {
		return
	}
	for _, q := range p.images {
		if q.used.Before(oldest.used) {
			oldest = q
		}
	}
	delete(p.images, oldest.image.Seq())
}

// sweep lets go of what was not used for too long. The caller holds mu.
func (p *pins) sweep() {
	for seq, q := range p.images {
		if time.Since(q.used) > p.maxAge {
			delete(p.images, seq)
		}
	}
}

func (p *pins) get(seq uint64) *state.Image {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sweep()
	q := p.images[seq]
	if q == nil {
		return nil
	}
	q.used = time.Now()
	return q.image
}

func (p *pins) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	clear(p.images)
}

// snapshots counts the read transactions that are open.
type snapshots struct {
	mu     sync.Mutex
	limit  int
	open   map[*ReadTx]struct{}
	closed bool
}

func (s *snapshots) limitTo(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limit = n
}

func (s *snapshots) add(tx *ReadTx) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errs.New(errs.CodeUnavailable, "the store is closed")
	}
	s.sweep()
	if len(s.open) >= s.limit {
		return errs.New(errs.CodeSnapshotLimit, "%d read transactions are open, which is the limit", len(s.open))
	}
	if s.open == nil {
		s.open = map[*ReadTx]struct{}{}
	}
	s.open[tx] = struct{}{}
	return nil
}

// sweep lets go of transactions that are too old. The caller holds mu.
func (s *snapshots) sweep() {
	for tx := range s.open {
		if tx.expired() {
			tx.release()
			delete(s.open, tx)
		}
	}
}

func (s *snapshots) remove(tx *ReadTx) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, tx)
}

func (s *snapshots) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep()
	return len(s.open)
}

func (s *snapshots) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for tx := range s.open {
		tx.release()
	}
	clear(s.open)
}

// ReadTx holds one snapshot for many reads. It is safe for concurrent use. It
// ends by Close, or by itself when it is older than Config.Reads.SnapshotAge:
// every later read is snapshot_expired.
type ReadTx struct {
	session *ReadSession
	seq     uint64
	began   time.Time
	maxAge  time.Duration
	image   atomic.Pointer[state.Image] // nil when it has ended
}

// BeginRead opens a read transaction.
func (s *ReadSession) BeginRead(ctx context.Context, c Consistency) (*ReadTx, error) {
	if ctx.Err() != nil {
		return nil, errs.FromContext(ctx, "before the read transaction began")
	}
	image, err := s.image(c)
	if err != nil {
		return nil, err
	}
	tx := &ReadTx{session: s, seq: image.Seq(), began: time.Now(), maxAge: s.store.tuning.Load().Reads.SnapshotAge}
	tx.image.Store(image)
	if err := s.store.snapshots.add(tx); err != nil {
		return nil, err
	}
	return tx, nil
}

// SnapshotSeq returns the commit seq that the transaction sees.
func (tx *ReadTx) SnapshotSeq() uint64 { return tx.seq }

// Scope returns the reads of one scope at the transaction's snapshot.
func (tx *ReadTx) Scope(project, scope string) *View {
	return &View{
		store: tx.session.store, caller: tx.session.callerID(), project: project, scope: scope,
		source: tx.source, names: new(reader.Names),
	}
}

// Close lets the snapshot go. It may be called more than once.
func (tx *ReadTx) Close() {
	tx.release()
	tx.session.store.snapshots.remove(tx)
}

func (tx *ReadTx) expired() bool { return time.Since(tx.began) > tx.maxAge }

func (tx *ReadTx) release() { tx.image.Store(nil) }

// source returns the snapshot, for each read anew.
func (tx *ReadTx) source() (snapshot, error) {
	image := tx.image.Load()
	if image != nil && tx.expired() {
		tx.Close()
		image = nil
	}
	if image == nil {
		return snapshot{}, errs.New(errs.CodeSnapshotExpired, "the read transaction at %d has ended", tx.seq)
	}
	return snapshot{Source: image, image: image}, nil
}
