package pipeline

import (
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/empyrealapp/aedb-go/actors"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/walwriter"
)

// Metrics counts what becomes of requests; flushes are not counted. When nothing
// is on its way these hold, also after a breakdown:
//
//	sequenced = processed = commits + duplicates + rejected after sequencing
//	rejected  = the sum of all classes
//
// A request is counted before it is answered. Any goroutine may read.
type Metrics struct {
	sequenced, processed  atomic.Uint64 // requests
	commits, rejected     atomic.Uint64
	duplicates            atomic.Uint64
	rejections            [6]atomic.Uint64 // by class
	queueFull, timeouts   atomic.Uint64
	readConflicts         atomic.Uint64
	assertionFailures     atomic.Uint64
	epochs, epochRequests atomic.Uint64
	largestEpoch          atomic.Uint64
	applied, written      atomic.Uint64 // last seq that has passed the stage
	appends, appendBytes  atomic.Uint64
	appendTime            latency
	syncTime              latency
	commitTime            latency
	imageTime             latency
	lastSync              atomic.Int64 // nanoseconds since the Unix epoch; 0: none
}

func (m *Metrics) init() {
	for _, l := range []*latency{&m.appendTime, &m.syncTime, &m.commitTime, &m.imageTime} {
		l.histogram = hdrhistogram.New(1, int64(time.Minute/time.Microsecond), 2)
	}
}

// latency is a distribution of times, in microseconds.
type latency struct {
	mu        sync.Mutex
	histogram *hdrhistogram.Histogram
	total     time.Duration
	count     uint64
}

func (l *latency) record(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.add(d)
}

// add counts one time. The caller holds mu.
func (l *latency) add(d time.Duration) {
	l.total += d
	l.count++
	// What exceeds the range of the histogram counts as its maximum.
	_ = l.histogram.RecordValue(min(max(d.Microseconds(), 1), l.histogram.HighestTrackableValue()))
}

// Latency summarises a distribution of times.
type Latency struct {
	Count               uint64
	Mean, P50, P99, Max time.Duration
}

func (l *latency) summary() Latency {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.count == 0 {
		return Latency{}
	}
	at := func(q float64) time.Duration {
		return time.Duration(l.histogram.ValueAtQuantile(q)) * time.Microsecond
	}
	return Latency{
		Count: l.count, Mean: l.total / time.Duration(l.count), P50: at(50), P99: at(99),
		Max: time.Duration(l.histogram.Max()) * time.Microsecond,
	}
}

// refuse counts a request that was never sequenced, by the code and class of its
// error.
func (m *Metrics) refuse(err error) {
	m.rejected.Add(1)
	m.rejections[errs.ClassOf(err)].Add(1)
	switch errs.CodeOf(err) {
	case errs.CodeQueueFull:
		m.queueFull.Add(1)
	case errs.CodeTimeout:
		m.timeouts.Add(1)
	case errs.CodeConflict:
		m.readConflicts.Add(1)
	case errs.CodeAssertionFailed:
		m.assertionFailures.Add(1)
	}
}

// reject counts a sequenced request that failed.
func (m *Metrics) reject(err error) {
	m.refuse(err)
	m.processed.Add(1)
}

// abort counts sequenced requests that the pipeline has broken down under.
func (m *Metrics) abort(n int, err error) {
	for range n {
		m.reject(err)
	}
}

func (m *Metrics) epoch(e *msgs.Epoch) {
	n := uint64(countRequests(e.Requests))
	if n == 0 {
		return
	}
	m.sequenced.Add(n)
	m.epochs.Add(1)
	m.epochRequests.Add(n)
	if n > m.largestEpoch.Load() {
		m.largestEpoch.Store(n)
	}
}

// countRequests counts the requests that are not flushes.
func countRequests(requests []*msgs.Request) (n int) {
	for _, r := range requests {
		if !r.Flush {
			n++
		}
	}
	return n
}

// countAnswers counts the answers that are not those of flushes.
func countAnswers(e *msgs.Epoch) (n int) {
	for range answered(e) {
		n++
	}
	return n
}

// answered yields the answers of an epoch but for those of flushes: refusals,
// duplicates, checks, and one for each commit, in order.
func answered(e *msgs.Epoch) iter.Seq[*msgs.Answer] {
	return func(yield func(*msgs.Answer) bool) {
		sets := e.Sets
		for i := range e.Answers {
			a := &e.Answers[i]
			if a.Err == nil && a.Outcome == msgs.Applied {
				if len(sets) == 0 || a.Seq != sets[0].Seq {
					continue
				}
				sets = sets[1:]
			}
			if !yield(a) {
				return
			}
		}
	}
}

func (m *Metrics) apply(e *msgs.Epoch) { m.applied.Store(e.LastSeq()) }

func (m *Metrics) write(p *walwriter.Plan, took time.Duration) {
	m.written.Store(p.LastSeq)
	if p.Bytes > 0 {
		m.appends.Add(1)
		m.appendBytes.Add(uint64(p.Bytes))
		m.appendTime.record(took)
	}
}

func (m *Metrics) sync(now time.Time, took time.Duration) {
	m.syncTime.record(took)
	m.lastSync.Store(now.UnixNano())
}

// publish counts epochs that are visible and not yet answered.
func (m *Metrics) publish(epochs []*msgs.Epoch) {
	m.commitTime.mu.Lock()
	defer m.commitTime.mu.Unlock()
	for _, e := range epochs {
		n := uint64(0)
		for a := range answered(e) {
			if a.Err != nil {
				m.reject(a.Err)
				continue
			}
			n++
			if a.Outcome == msgs.Duplicate {
				m.duplicates.Add(1)
			}
			m.commitTime.add(e.Passage.Published.Sub(a.Admitted))
		}
		m.commits.Add(uint64(len(e.Sets)))
		m.processed.Add(n)
	}
}

// Counters are the figures of a pipeline since it was started.
type Counters struct {
	// Requests that were sequenced, and those of them that have been answered.
	// Flushes are not counted as requests.
	Sequenced, Processed uint64
	// Commits made, Duplicates answered, and requests Rejected, also before they
	// were sequenced.
	Commits, Duplicates, Rejected uint64
	// Rejections by class of error.
	Validation, Retryable, Conflict, Permission, Integrity, Unavailable uint64
	// Rejections by some codes.
	QueueFull, Timeouts, ReadSetConflicts, AssertionFailures uint64
	// Epochs formed, the requests in all of them, and in the largest.
	Epochs, EpochRequests, LargestEpoch uint64
	// Appends to the log, and their bytes.
	Appends, AppendBytes uint64
	// Seqs that have passed each point.
	AppliedSeq, WrittenSeq, VisibleSeq, DurableSeq uint64

	Append, Sync, Commit Latency
	// Image is the wait of readers for an image that had not been made.
	Image Latency
	// LastSync is when the log was last synced; zero if it was not.
	LastSync time.Time

	// AdmittedBytes are the bytes of requests on their way.
	AdmittedBytes int64
	// AdmissionBlocked counts waits for room in bytes, AdmissionBlockedTime their
	// duration.
	AdmissionBlocked     uint64
	AdmissionBlockedTime time.Duration

	// Stages, in the order of the pipeline.
	Stages []actors.Stats
}

// Counters returns the figures as they are now.
func (p *Pipeline) Counters() Counters {
	m := &p.metrics
	c := Counters{
		Sequenced: m.sequenced.Load(), Processed: m.processed.Load(),
		Commits: m.commits.Load(), Duplicates: m.duplicates.Load(), Rejected: m.rejected.Load(),
		QueueFull: m.queueFull.Load(), Timeouts: m.timeouts.Load(),
		ReadSetConflicts: m.readConflicts.Load(), AssertionFailures: m.assertionFailures.Load(),
		Epochs: m.epochs.Load(), EpochRequests: m.epochRequests.Load(), LargestEpoch: m.largestEpoch.Load(),
		Appends: m.appends.Load(), AppendBytes: m.appendBytes.Load(),
		WrittenSeq: m.written.Load(), AppliedSeq: m.applied.Load(),
		Append: m.appendTime.summary(), Sync: m.syncTime.summary(), Commit: m.commitTime.summary(), Image: m.imageTime.summary(),
		AdmittedBytes: p.admission.used.Load(), AdmissionBlocked: p.admission.blocked.Load(),
		AdmissionBlockedTime: time.Duration(p.admission.blockedNanos.Load()),
		Stages:               p.system.Stats(),
	}
	if at := m.lastSync.Load(); at != 0 {
		c.LastSync = time.Unix(0, at)
	}
	by := func(class errs.Class) uint64 { return m.rejections[class].Load() }
	c.Validation, c.Retryable, c.Conflict = by(errs.Validation), by(errs.Retryable), by(errs.Conflict)
	c.Permission, c.Integrity, c.Unavailable = by(errs.Permission), by(errs.Integrity), by(errs.Unavailable)
	c.DurableSeq = p.heads.Durable() // before the visible head: so it is never above it
	c.VisibleSeq = p.heads.Moment().Seq
	// A stage that nothing has passed yet stands where the store was opened.
	c.WrittenSeq = max(c.WrittenSeq, c.VisibleSeq)
	c.AppliedSeq = max(c.AppliedSeq, c.WrittenSeq)
	return c
}
