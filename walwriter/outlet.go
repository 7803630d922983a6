package walwriter

import "github.com/empyrealapp/aedb-go/msgs"

// Outlet decides who hears of a plan that has been performed, and when. Where
// epochs go out only when they are synced, the fsyncer gets them; elsewhere the
// publisher gets them at once, and the fsyncer learns how much was written. It
// belongs to the writer's goroutine.
type Outlet struct {
	// SyncFirst sends epochs by way of the fsyncer.
	SyncFirst bool
	// OnDemand is true where nothing is synced unless somebody asks: the fsyncer is
	// then told when somebody does, of all at once.
	OnDemand bool

	unsaid *msgs.Written
}

// Pass says what goes to the publisher, and after that to the fsyncer, of a plan
// that has been performed. Either is nil if there is nothing for it.
func (o *Outlet) Pass(p *Plan, w *msgs.Written) (*msgs.Publication, *msgs.Written) {
	var publication *msgs.Publication
	switch {
	case o.SyncFirst:
		w.Epochs = p.Epochs
	case len(p.Epochs) > 0:
		publication = &p.pack().publication
		publication.Epochs = p.Epochs
	}
	if o.unsaid != nil {
		w.Bytes += o.unsaid.Bytes
		o.unsaid = nil
	}
	if o.OnDemand && !w.MustSync && w.Retired == nil && len(w.Sealed) == 0 {
		o.unsaid = w
		return publication, nil
	}
	return publication, w
}

// Rest returns what the fsyncer has not been told when the stage ends, or nil.
func (o *Outlet) Rest() *msgs.Written { return o.unsaid }
