// Package simulation runs the whole engine on one goroutine, in an order drawn
// from a seed. The stages are the real ones; in the place of mailboxes and
// goroutines there are bounded queues and a scheduler that picks, one after
// another, a stage to go on, a request to submit, a file operation to fail, a
// crash. Disk and clocks are simulated. So a seed is a history that nobody would
// write down, and can be had again as often as one likes.
//
// Beside the engine runs a model: plain maps, to which every request is applied
// in the order of seqs. All the time it is checked that
//
//   - seqs are contiguous, durable <= visible, and neither ever goes back;
//   - every image that is published is the model's state at its seq;
//   - every admitted request is answered exactly once, with the model's answer, and
//     not before the state it was decided on is published, and durable where the
//     mode or the request asks for that;
//   - no queue exceeds its bound, and left to itself the engine answers everything;
//   - nothing is called durable that was not synced, and after a failure nothing
//     becomes durable;
//   - after a crash the state is the model's at a seq between what was durable and
//     what was written, and a request that was told to have no effect has none.
//
// AEDB_SEED=n runs the one seed n and prints its whole history; AEDB_LONG=1 runs
// many more, from AEDB_SEED on. What fails prints its seed and how the history
// ended. A seed means the same history as long as nothing here draws otherwise.
package simulation

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
