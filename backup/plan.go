package backup

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
)

// Target chooses what is restored. The zero Target is the end of the newest
// backup.
type Target struct {
	// Backup is the backup whose chain is used. Empty is the newest one that leads
	// to the rest of the target; where that is not a commit, and another backup that
	// goes further cannot be used, there is none.
	Backup string
	// Seq, if not nil, is the commit to restore to.
	Seq *uint64
	// Time, if not zero, is the time to restore to: the last commit that is not
	// later, or the end of the chain. Only one of Seq and Time may be set.
	Time time.Time
}

// Plan is what a restore does.
type Plan struct {
	// Chain are the backups that are read, the full one first.
	Chain Chain
	// Seq and Micros are the commit restored to and its time, in microseconds since
	// the Unix epoch; 0 where only reading the log would tell.
	Seq    uint64
	Micros int64
	// State is the digest that the restored state must have, nil if none was
	// recorded for that commit.
	State *Digest
	// Bytes is the size of the objects that are read.
	Bytes int64
}

// MakePlan finds out how a target is restored: from the manifests, and for a time
// from the piece of log in which it falls.
//
// Errors are errs.CodeValidation for a target that no backup in the store leads to,
// such as one before the base, and those of Load.
func MakePlan(ctx context.Context, from Store, target Target, o Options) (Plan, error) {
	if target.Seq != nil && !target.Time.IsZero() {
		return Plan{}, errs.New(errs.CodeValidation, "a restore goes to a commit or to a time, not to both")
	}
	chain, err := choose(ctx, from, &target, o)
	if err != nil {
		return Plan{}, err
	}
	p := Plan{Chain: chain, Seq: chain.Head().Seq}
	switch {
	case target.Seq != nil:
		p.Seq = *target.Seq
	case !target.Time.IsZero():
		if p.Seq, err = seqAt(ctx, from, chain, target.Time.UnixMicro(), o); err != nil {
			return Plan{}, err
		}
	}
	for i := range p.Chain {
		if m := &p.Chain[i]; m.Seq == p.Seq {
			p.Micros = m.Micros
			if m.State != nil {
				p.State = m.State
			}
		}
	}
	// What begins behind the target is not read.
	for len(p.Chain) > 1 && p.Chain.Head().FromSeq > p.Seq {
		p.Chain = p.Chain[:len(p.Chain)-1]
	}
	for i := range p.Chain {
		m := &p.Chain[i]
		for j := range m.Objects {
			if m.Objects[j].FirstSeq <= p.Seq {
				p.Bytes += m.Objects[j].Size
			}
		}
	}
	return p, nil
}

// choose returns the chain that leads to a target.
func choose(ctx context.Context, from Store, target *Target, o Options) (Chain, error) {
	if target.Backup != "" {
		chain, err := LoadChain(ctx, from, target.Backup, o)
		if err == nil {
			err = target.reached(chain)
		}
		return chain, err
	}
	l, err := List(ctx, from, o)
	if err != nil {
		return nil, err
	}
	known := make(map[string]Manifest, len(l.Backups))
	for _, m := range l.Backups {
		known[m.ID] = m
	}
	var reasons []error
	for _, m := range slices.Backward(l.Backups) {
		chain, err := chainOf(m.ID, func(id string) (Manifest, error) {
			if m, ok := known[id]; ok {
				return m, nil
			}
			return Load(ctx, from, id, o)
		})
		if err == nil {
			err = target.reached(chain)
		}
		if err == nil {
			err = target.certain(chain, &l)
		}
		if err == nil {
			return chain, nil
		}
		reasons = append(reasons, err)
	}
	for _, d := range l.Damaged {
		reasons = append(reasons, d.Err)
	}
	if len(reasons) == 0 {
		return nil, errs.New(errs.CodeValidation, "there is no backup in the store")
	}
	// The reason of the newest backup decides: that is the one that was meant.
	return nil, failed(reasons[0], "no backup leads to the target")
}

// certain returns an error if the target lies behind the end of a chain, as far as
// the chain can tell, while there is a backup that goes further: the commits between
// the two are missing, and nobody would notice. At the very time of the end there may be
// more commits behind it: one time is that of many, above all while a clock that was set
// back catches up.
func (t *Target) certain(c Chain, l *Listing) error {
	head := c.Head()
	if t.Seq != nil || !t.Time.IsZero() && t.Time.UnixMicro() < head.Micros {
		return nil
	}
	further := func(id string) error {
		return errs.New(errs.CodeValidation, "backup %s ends at commit %d, and there is backup %s, which goes further; "+
			"name the backup that is meant, or a commit", head.ID, head.Seq, id)
	}
	for i := range l.Backups {
		if m := &l.Backups[i]; m.Incarnation == head.Incarnation && m.Seq > head.Seq {
			return further(m.ID)
		}
	}
	for _, d := range l.Damaged {
		if _, seq, ok := parseID(d.Name); ok && seq > head.Seq {
			return failed(d.Err, "backup %s cannot be used, and it goes further than %s, which ends at commit %d; "+
				"name the backup that is meant, or a commit", d.Name, head.ID, head.Seq)
		}
	}
	return nil
}

// reached returns why a chain does not lead to the target.
func (t *Target) reached(c Chain) error {
	base, head := c.Base(), c.Head()
	switch {
	case t.Seq != nil && *t.Seq < base.Seq:
		return errs.New(errs.CodeValidation, "commit %d is before the full backup %s, which is of commit %d", *t.Seq, base.ID, base.Seq)
	case t.Seq != nil && *t.Seq > head.Seq:
		return errs.New(errs.CodeValidation, "commit %d is above the end of backup %s, which is commit %d", *t.Seq, head.ID, head.Seq)
	case !t.Time.IsZero() && t.Time.UnixMicro() < base.Micros:
		return errs.New(errs.CodeValidation, "%s is before the full backup %s, whose last commit is of %s",
			t.Time.UTC().Format(time.RFC3339Nano), base.ID, time.UnixMicro(base.Micros).UTC().Format(time.RFC3339Nano))
	}
	return nil
}

// seqAt returns the last commit of a chain that is not later than a time. The
// times of commits never fall, so that only one backup has to be read.
func seqAt(ctx context.Context, from Store, chain Chain, micros int64, o Options) (uint64, error) {
	seq := chain.Base().Seq
	for i := 1; i < len(chain); i++ {
		m := &chain[i]
		if m.Micros <= micros {
			seq = m.Seq
			continue
		}
		for j := range m.Objects {
			err := readLog(ctx, from, o, m, j, func(c *msgs.Changeset) error {
				if c.Micros > micros {
					return errEnough
				}
				seq = c.Seq
				return nil
			})
			if errors.Is(err, errEnough) {
				return seq, nil
			}
			if err != nil {
				return 0, err
			}
		}
		return seq, nil
	}
	return seq, nil
}
