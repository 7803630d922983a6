package simulation

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/empyrealapp/aedb-go/checkpointer"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/pipeline"
	"github.com/empyrealapp/aedb-go/recovery"
	"github.com/empyrealapp/aedb-go/vfs"
	"github.com/empyrealapp/aedb-go/walwriter"
)

// world is a machine with a store on it, from the first start of the engine
// through crashes and restarts.
type world struct {
	rng   *rand.Rand
	cfg   pipeline.Config
	kept  int   // checkpoints
	zeros int64 // written ahead of the log
	speed map[string]int
	// trouble is how likely it is that something goes wrong: the weight of a crash
	// among some hundreds.
	trouble int

	disk *disk
	// now is the time of deadlines, which never goes back, and clock that of
	// commits, which may.
	now   time.Time
	clock *vfs.ManualClock

	workload *workload
	model    *model
	engine   *engine

	// promised is the last commit that anybody may rely on whatever happens,
	// written the last that was handed to the file, and attempted the last that may
	// be there. micros is the time of the newest commit.
	promised, written, attempted uint64
	micros                       int64
	// disowned are the commits of which callers were told that they have no effect.
	disowned []uint64

	trace     trace
	met       map[string]int // what has happened how often
	violation error
}

// newWorld draws a machine, a configuration and a temper.
func newWorld(seed uint64) *world {
	rng := rand.New(rand.NewPCG(seed, 0))
	begin := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	w := &world{
		rng: rng, disk: newDisk(vfs.NewMem()), now: begin, clock: vfs.NewManualClock(begin, 0),
		workload: &workload{Rand: rng, valueBytes: 20 << rng.IntN(6)},
		model:    newModel(), met: map[string]int{}, speed: map[string]int{},
		kept: 1 + rng.IntN(3), trouble: []int{0, 1, 3, 10}[rng.IntN(4)],
	}
	w.cfg = pipeline.Config{
		Limits: limits, Window: window,
		Durability:    pipeline.Durability(rng.IntN(3)),
		BatchInterval: time.Duration(1+rng.IntN(20)) * time.Millisecond, BatchBytes: 1 << (8 + rng.IntN(6)),
		SequencerQueue: 1 + rng.IntN(16), ApplierQueue: 1 + rng.IntN(3), WriterQueue: 1 + rng.IntN(4),
		FsyncerQueue: 1 + rng.IntN(4), PublisherQueue: 1 + rng.IntN(4),
		EpochCommits: 1 + rng.IntN(8), EpochBytes: 1 << (6 + rng.IntN(8)),
		SegmentBytes:   1 << (9 + rng.IntN(5)),
		HistoryCommits: 1 + rng.IntN(40), HistoryBytes: 1 << 20,
		CheckpointOnClose: rng.IntN(2) == 0,
	}
	if rng.IntN(2) == 0 {
		w.cfg.CheckpointBytes = 1 << (9 + rng.IntN(5))
	}
	if rng.IntN(4) == 0 {
		w.cfg.CheckpointInterval = time.Duration(1+rng.IntN(100)) * time.Millisecond
	}
	if rng.IntN(2) == 0 {
		w.zeros = 1 << (12 + rng.IntN(6))
	}
	if seed%3 == 0 {
		w.cfg.SegmentAge = 20 * time.Millisecond
	}
	for _, name := range []string{"sequencer", "applier", "writer", "fsyncer", "fsyncer 2", "publisher", "checkpointer"} {
		w.speed[name] = 1 + rng.IntN(12)
	}
	w.trace.add(fmt.Sprintf("%v, segments of %d, %d checkpoints kept, %d zeros ahead",
		w.cfg.Durability, w.cfg.SegmentBytes, w.kept, w.zeros))
	return w
}

// must takes note of an error that is a violation, and not a failure which the
// engine has to deal with.
func (w *world) must(err error) error {
	if w.violation == nil {
		w.violation = err
	}
	return err
}

// run lets some events happen, and then waits for the end of all that is underway.
func (w *world) run(events int) error {
	if err := w.open(); err != nil {
		return err
	}
	for range events {
		if err := w.do(pick(w.choices(), w.rng.IntN)); err != nil {
			return err
		}
	}
	if err := w.drain(); err != nil {
		return err
	}
	w.disk.pending = nil
	return w.powerLoss()
}

// do lets one thing happen and looks at what has come of it.
func (w *world) do(c choice) error {
	w.trace.add(c.name)
	err := c.run()
	switch {
	case w.violation != nil:
		return w.violation
	case err != nil:
		return err
	case w.disk.lost:
		w.met["power lost in the middle"]++
		return w.powerLoss()
	case w.disk.killed:
		w.met["killed in the middle"]++
		return w.kill()
	}
	if err := w.engine.watch(); err != nil {
		return err
	}
	if w.engine.ended() {
		return w.brokenDown()
	}
	return nil
}

// choices lists what can happen next.
func (w *world) choices() []choice {
	e := w.engine
	out := e.runnable(func(s *stage) int { return 40 * w.speed[s.name] })
	add := func(name string, weight int, run func() error) { out = append(out, choice{name, weight, run}) }
	add("time passes", 80, w.pass)
	if e.cause == nil {
		if e.requests.room() && (e.visible >= setupSeq || !e.setup) {
			add("a request", 240, w.request)
		}
		if len(e.open) > 0 {
			add("a caller goes", 12, w.cancel)
		}
		if e.progress.room() {
			add("a checkpoint is asked for", 8, w.askForCheckpoint)
		}
		add("nothing new for a while", 3, w.drain)
		add("close", 2, w.close)
	}
	add("somebody looks", 12, w.look)
	add("somebody looks back", 12, w.lookBack)
	add("a look at the disk", 12, w.lookAtDisk)
	if w.trouble > 0 {
		if w.disk.pending == nil {
			add("mishap", 3*w.trouble, w.mishap)
		}
		add("power loss", w.trouble, w.powerLoss)
		add("kill", w.trouble, w.kill)
	}
	return out
}

func (w *world) request() error {
	e := w.engine
	now := e.heads.Moment()
	q := w.workload.next(now.Seq, w.model.past[now.Seq])
	r, err := q.prepare(e.executor, now.Catalog)
	if err != nil {
		w.met["refused at the door"]++
		w.trace.add("refused at the door: " + string(errs.CodeOf(err)))
		return nil
	}
	e.setup = true
	return w.must(e.submit(q, r))
}

func (w *world) cancel() error {
	c := w.engine.open[w.rng.IntN(len(w.engine.open))]
	if len(c.ops) > 0 && c.ops[0].kind != opSetup { // a flush is the checkpointer's, perhaps
		c.gone = true
		c.cancel()
	}
	return nil
}

func (w *world) askForCheckpoint() error {
	c := &checkpointCall{w.engine.visible, make(chan msgs.CheckpointReply, 1)}
	w.engine.replies = append(w.engine.replies, c)
	return w.must(w.engine.progress.put(&msgs.Progress{Reply: c.reply}))
}

// pass moves the clocks on; that of commits is set back now and then.
func (w *world) pass() error {
	d := time.Duration(w.rng.IntN(5000)) * time.Microsecond
	w.now = w.now.Add(d)
	w.clock.Advance(d)
	if w.rng.IntN(50) == 0 {
		w.clock.Advance(-time.Second)
	}
	return nil
}

func (w *world) mishap() error {
	w.disk.pending = randomMishap(w.rng)
	w.trace.add(w.disk.pending.String())
	return nil
}

// look compares the visible state with the model, whatever the stages have in hand.
func (w *world) look() error {
	e := w.engine
	if w.rng.IntN(2) == 0 {
		return e.look(e.heads.Visible(), e.heads.Moment().Seq)
	}
	image, durable := e.heads.DurableImage(), e.heads.Durable()
	if image.Seq() > durable || image.Seq() < e.kept {
		return fmt.Errorf("the durable image is at %d after %d, the head at %d", image.Seq(), e.kept, durable)
	}
	e.kept = image.Seq()
	return w.model.compare(image)
}

// lookBack compares a state of the recent past with the model.
func (w *world) lookBack() error {
	e := w.engine
	oldest, newest := e.history.Oldest(), e.heads.Moment().Seq
	seq := oldest + w.rng.Uint64N(newest-oldest+1)
	image, err := e.history.At(seq, e.heads.Visible())
	if err != nil {
		return fmt.Errorf("look back to %d, from %d to %d: %w", seq, oldest, newest, err)
	}
	if image.Seq() != seq {
		return fmt.Errorf("the state at %d is that at %d", seq, image.Seq())
	}
	return w.model.compare(image)
}

// lookAtDisk recovers what a power loss would leave at this moment, twice: the second
// time without the newest checkpoint, if there is one to fall back to.
func (w *world) lookAtDisk() error {
	fate := randomFate(w.rng)
	mem := w.disk.Clone(fate)
	first, err := w.recover(mem, w.promised)
	if err != nil {
		return fmt.Errorf("what a power loss (%v) would leave: %w", fate, err)
	}
	seq := first.Working.Seq()
	// An opening that could not read the newest manifest has gone by the one before,
	// which may list a checkpoint that is gone.
	if list := first.Manifest.Checkpoints; len(list) > 1 && exists(mem, list[len(list)-2].File) {
		w.met["checkpoint damaged"]++
		if err := flip(mem, list[len(list)-1].File); err != nil {
			return err
		}
	}
	second, err := w.recover(mem, seq)
	if err != nil {
		return fmt.Errorf("what a power loss (%v) would leave, recovered again after %d: %w", fate, seq, err)
	}
	if again := second.Working.Seq(); again != seq {
		return fmt.Errorf("recovered %d, and the second time %d", seq, again)
	}
	w.trace.add(fmt.Sprintf("it would be %d", seq))
	return nil
}

// drain lets everything that is underway come to its end, and deadlines come.
func (w *world) drain() error {
	const patience = 10_000
	for range patience {
		e := w.engine
		choices := e.runnable(func(*stage) int { return 1 })
		if len(choices) == 0 {
			if !w.await() {
				return e.settled()
			}
			continue
		}
		if err := w.do(pick(choices, w.rng.IntN)); err != nil {
			return err
		}
		if w.engine != e {
			return nil // it has ended otherwise
		}
	}
	return errors.New("the engine does not come to rest")
}

// await moves the clocks on to the deadline of the next sync, and tells whether
// there is one. Checkpoints by interval, which never end, are left alone.
func (w *world) await() bool {
	at, ok := w.engine.fsyncer.Wake()
	if !ok || !at.After(w.now) {
		return false
	}
	w.clock.Advance(at.Sub(w.now))
	w.now = at
	return true
}

// close ends the engine in an orderly way: stage after stage says its last.
func (w *world) close() error {
	e := w.engine
	last := []func() error{
		func() error { return nil },
		func() error {
			plan, err := e.writer.Last(w.now)
			if plan != nil {
				e.write(e.stage("writer"), plan)
			} else if rest := e.outlet.Rest(); rest != nil {
				return e.written.put(rest)
			}
			return err
		},
		func() error { e.performSync(e.stage("fsyncer"), e.fsyncer.Last()); return nil },
		func() error {
			if report := e.publisher.Report(1); report != nil {
				return e.progress.put(report)
			}
			return nil
		},
		func() error {
			if w.cfg.CheckpointOnClose {
				e.takeCheckpoint(e.stage("checkpointer"), nil)
			}
			return nil
		},
	}
	for _, say := range last {
		if err := say(); err != nil {
			return err
		}
		if err := w.drain(); err != nil || w.engine != e {
			return err
		}
	}
	if e.durable != w.model.seq() {
		return fmt.Errorf("closed with durable at %d of %d", e.durable, w.model.seq())
	}
	w.met["closed"]++
	if err := e.log.Close(); err != nil && w.disk.lost {
		return w.powerLoss()
	}
	return w.open()
}

// brokenDown follows the last word of an engine that has failed.
func (w *world) brokenDown() error {
	w.met["broken down"]++
	if err := w.engine.settled(); err != nil {
		return err
	}
	_ = w.engine.log.Close() // it says again what has failed
	if w.rng.IntN(3) == 0 {
		return w.powerLoss()
	}
	return w.open()
}

// kill ends the process; what it has written is with the system.
func (w *world) kill() error {
	w.met["killed"]++
	return w.open()
}

// powerLoss ends the machine, and starts it again.
func (w *world) powerLoss() error {
	fate := randomFate(w.rng)
	w.trace.add("power lost: " + fate.String())
	w.met["power lost"]++
	w.disk = newDisk(w.disk.Crash(fate))
	w.written = w.promised
	return w.open()
}

// open starts the engine, as often as it takes: files may fail and the power may go
// while it is starting, too.
func (w *world) open() error {
	for {
		err := w.tryOpen()
		switch {
		case w.violation != nil:
			return w.violation
		case w.disk.lost:
			w.met["power lost while opening"]++
			fate := randomFate(w.rng)
			w.trace.add("power lost while opening: " + fate.String())
			w.disk = newDisk(w.disk.Crash(fate))
			w.written = w.promised
		case err == nil && !w.disk.killed:
			return nil
		case w.disk.failed:
			w.met["failed to open"]++
			w.trace.add("failed to open: " + string(errs.CodeOf(err)))
		default:
			return fmt.Errorf("open: %w", err)
		}
	}
}

func (w *world) tryOpen() error {
	w.disk.killed, w.disk.failed = false, false
	if err := w.disk.MkdirAll(dir); err != nil {
		return err
	}
	found, err := w.recover(w.disk.Mem, w.written)
	if err != nil {
		return err
	}
	storage := walwriter.Storage{FS: w.disk, Dir: dir, SegmentBytes: w.cfg.SegmentBytes, Syncs: w.cfg.Rules().Syncs}
	if w.cfg.Durability == pipeline.Full {
		storage.Prezero = w.zeros
	}
	log, segment, unsynced, err := pipeline.OpenLog(found, storage, w.cfg.Durability)
	if err != nil {
		return err
	}
	image := found.Working.Freeze()
	if unsynced == nil {
		unsynced = &pipeline.Unsynced{Durable: image.Seq(), Image: image}
	}
	keeper := checkpointer.New(checkpointer.Config{
		FS: w.disk, Dir: dir, Clock: w.clock, Kept: w.kept,
		Bytes: w.cfg.CheckpointBytes, Interval: w.cfg.CheckpointInterval, Concurrency: 1,
	}, found.Manifest, found.Sealed, found.Checkpoint)
	if found.Active != nil {
		keeper.Resume(segment.Size())
	}
	fsyncer := walwriter.NewFsyncer(w.cfg.Rules().Sync, unsynced.Durable, log.File())
	writer := walwriter.NewWriter(segment, w.cfg.SegmentBytes, fsyncer.Synced)
	writer.SealAfter(w.cfg.SegmentAge)
	w.engine = start(w, found.Working, unsynced, log, writer, fsyncer, keeper, image)

	seq := image.Seq()
	w.trace.add(fmt.Sprintf("opened at %d, durable %d", seq, unsynced.Durable))
	w.model.rewind(found.Report.CheckpointSeq, seq)
	w.model.keep(image)
	w.written, w.attempted, w.disowned, w.micros = seq, seq, nil, image.Micros()
	w.promised = max(w.promised, unsynced.Durable)
	return nil
}

// recover opens what is on a disk and checks that it is a state which may be there:
// one of the model's, at least at a seq.
func (w *world) recover(mem *vfs.Mem, least uint64) (*recovery.Recovered, error) {
	found, err := recovery.Open(context.Background(), recovery.Options{
		FS: mem, Dir: dir, Continue: true, Clock: w.clock,
	})
	if err != nil {
		return nil, err
	}
	seq := found.Working.Seq()
	if seq < least || seq > w.attempted {
		return nil, w.must(fmt.Errorf("recovered %d, it must be from %d to %d", seq, least, w.attempted))
	}
	if i := slices.IndexFunc(w.disowned, func(n uint64) bool { return n <= seq }); i >= 0 {
		return nil, w.must(fmt.Errorf("recovered %d, but a caller was told that %d has no effect", seq, w.disowned[i]))
	}
	return found, w.must(w.model.recovered(found.Working.Freeze(), found.Report.CheckpointSeq))
}
