package aedb

import "github.com/empyrealapp/aedb-go/checkpointer"

// Tune changes the Tuning of the store while it is open: the function is given it
// as it is, and what it leaves is checked and counts from then on, all of it or, if
// a rule is broken, none. Calls are carried out one after another; the function
// must not call Tune.
//
// A request that is on its way may still be decided by the limits it was prepared
// with, and a read transaction keeps the age it was opened with. Larger bounds do
// not bring back what smaller ones have let go: snapshots, history, requests that
// were remembered. Nothing is written: the next opening goes by its own Config.
func (db *DB) Tune(change func(*Tuning)) error {
	db.tuneMu.Lock()
	defer db.tuneMu.Unlock()
	if err := db.alive(); err != nil {
		return err
	}
	cfg := db.Config()
	change(&cfg.Tuning)
	if err := cfg.Validate(); err != nil {
		return err
	}
	db.reads.tune(cfg.Tuning)
	db.keeper.Tune(checkpointer.Policy{
		Kept: cfg.Checkpoint.Kept, Bytes: cfg.Checkpoint.WALBytes, Interval: cfg.Checkpoint.Interval,
	})
	db.pipeline.Tune(cfg.pipeline())
	return nil
}

// Config returns the configuration of the store as it is now, without Keys.
func (db *DB) Config() Config {
	cfg := db.cfg
	cfg.Tuning = *db.reads.tuning.Load()
	return cfg
}
