package applier

import (
	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/executor"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/state"
)

// Rehearse carries out a request that was prepared with the catalog of an image,
// on a fork of that image, as Step would on the head, and keeps nothing of it. It
// fills the request's replies and returns how many rows and keys were written or
// removed, each as often as it was, or why the request would be refused.
//
// Two things only the head can tell: whether the request has been applied under
// its idempotency key, and what has been removed since its read set was taken.
func Rehearse(x *executor.Executor, image *state.Image, r *msgs.Request, micros int64) (affected int, err error) {
	w := image.Fork()
	if err := newRemovals(0).check(w, r); err != nil {
		return 0, err
	}
	w.Begin(image.Seq()+1, max(image.Micros(), micros))
	if err := x.Run(w, r); err != nil {
		return 0, err
	}
	effects := w.Effects(state.Mark{})
	for i := range effects {
		e := &effects[i]
		if e.Space >= catalog.FirstUserSpace && e.Op != msgs.EffectDropSpace && !w.Catalog().IsIndex(e.Space) {
			affected++
		}
	}
	return affected, checkSize(effects)
}
