package cases

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"github.com/empyrealapp/aedb-go/test/peers/measure"
	"github.com/empyrealapp/aedb-go/test/peers/store"
)

// reopens time an opening with a first read, of a store that another process has
// filled. Files are in the cache of the operating system.
func reopens() []*Case {
	suitable := func(s store.Store) bool { return suits[store.BatchWriter](s) && suits[store.Counter](s) }
	return []*Case{
		{
			Name: "reopen-killed", Title: "reopen after SIGKILL, all in the log", Unit: "ms", Lower: true, Level: store.Process,
			Callers: 1, Targets: []Target{{Against: "buntdb", Ratio: 0.5}}, Suits: suitable,
			Prepare: func(e *Env) error {
				return fill(e, func(store.Store) error { return syscall.Kill(os.Getpid(), syscall.SIGKILL) })
			},
			Run: runReopen,
		},
		{
			Name: "reopen-closed", Title: "reopen after a clean close", Unit: "ms", Lower: true, Level: store.Process,
			Callers: 1, Targets: []Target{{Against: "buntdb", Ratio: 0.35}}, Suits: suitable,
			Prepare: func(e *Env) error { return fill(e, store.Store.Close) },
			Run:     runReopen,
		},
	}
}

// fill loads the store and ends it in the given way.
func fill(e *Env, end func(store.Store) error) error {
	s, err := open[store.BatchWriter](e)
	if err != nil {
		return err
	}
	if err := load(s, e.Entries, scattered); err != nil {
		return err
	}
	return end(s)
}

// prepare runs Case.Prepare in a process of its own. One that was killed by
// SIGKILL has done what it should.
func (e *Env) prepare() error {
	cmd, err := e.Again()
	if err != nil {
		return err
	}
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() && status.Signal() == syscall.SIGKILL {
			return nil
		}
	}
	return err
}

func runReopen(e *Env) (*Result, error) {
	if err := e.prepare(); err != nil {
		return nil, fmt.Errorf("prepare: %w", err)
	}
	// A store that may lose acknowledged commits is not held to what was written.
	loses := e.Peer.Levels[e.Case.Level].Given < e.Case.Level
	var s store.Store
	window := e.window()
	window.Ops = 1
	f, err := window.Run([]measure.Work{func(int) (err error) {
		if s, err = open[store.Store](e); err != nil {
			return err
		}
		err = expectValues(s, e.Entries/2, 1, scattered)
		if loses && errors.Is(err, store.ErrNotFound) {
			return nil
		}
		return err
	}})
	if err != nil {
		return nil, err
	}
	if !loses {
		if err := errors.Join(expect(s, e.Entries), expectValues(s, 0, e.Entries, scattered)); err != nil {
			return nil, err
		}
	}
	r := result(f, 1)
	r.Value = f.Elapsed.Seconds() * 1000
	return r, s.Close()
}
