package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/empyrealapp/aedb-go/test/peers/adapter"
	"github.com/empyrealapp/aedb-go/test/peers/cases"
)

// childFlag makes the command carry out one order, given as JSON.
const childFlag = "-child"

// patience is how long one measurement may take.
const patience = 10 * time.Minute

// order is one measurement, or its preparation.
type order struct {
	Case, Peer string
	Dir        string
	Entries    int
	Duration   time.Duration
	Profile    string
	Prepare    bool
}

func (o order) command(ctx context.Context) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	return exec.CommandContext(ctx, self, childFlag, string(text)), nil
}

// carryOut runs the order in a process of its own.
func (o order) carryOut() (*cases.Result, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd, err := o.command(ctx)
	if err != nil {
		return nil, err
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, lastLines(stderr.Bytes()))
	}
	r := &cases.Result{}
	return r, json.Unmarshal(stdout.Bytes(), r)
}

// lastLines keeps the end of what a process has said.
func lastLines(text []byte) []byte {
	const most = 2000
	return bytes.TrimSpace(text[max(0, len(text)-most):])
}

// child carries out an order in this process and prints the result as JSON. It
// returns the exit status.
func child(text string) int {
	r, err := obey(text)
	if err == nil && r != nil {
		err = json.NewEncoder(os.Stdout).Encode(r)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func obey(text string) (*cases.Result, error) {
	var o order
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return nil, err
	}
	c, p := cases.Named(o.Case), adapter.Named(o.Peer)
	if c == nil || p == nil {
		return nil, errors.New("there is no such case or peer")
	}
	env := &cases.Env{
		Peer: p, Case: c, Dir: o.Dir, Entries: o.Entries, Duration: o.Duration, Profile: o.Profile,
		Again: func() (*exec.Cmd, error) {
			again := o
			again.Prepare = true
			cmd, err := again.command(context.Background())
			if err == nil {
				cmd.Stderr = os.Stderr
			}
			return cmd, err
		},
	}
	if o.Prepare {
		return nil, c.Prepare(env)
	}
	return c.Run(env)
}
