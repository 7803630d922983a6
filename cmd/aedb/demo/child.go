package demo

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	aedb "github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/query"
)

// childVerb is the hidden verb that runs the program as a child.
const childVerb = "crash-child"

// loadedLine is what the child says when it has nothing left to load.
const loadedLine = "loaded\n"

// crashConfig makes files short, so that a load goes through several segments
// and checkpoints, and a crash finds it amid any of them.
func crashConfig(c *aedb.Config) {
	c.SegmentBytes = 256 << 10
	c.Checkpoint.WALBytes = 512 << 10
}

// childCommand is the hidden verb. It loads what the store in a directory lacks
// of the catalogue and writes a line for each commit after its durable
// acknowledgement. Then it waits to be killed.
func childCommand() *cobra.Command {
	var callers, most int
	cmd := &cobra.Command{
		Use: childVerb + " DIR", Hidden: true, Args: cobra.ExactArgs(1), SilenceUsage: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := context.WithCancel(cmd.Context())
			defer cancel()
			// The parent holds the other end of standard input open. If it is gone,
			// nobody is left to kill this process.
			go func() {
				defer cancel()
				_, _ = io.Copy(io.Discard, cmd.InOrStdin())
			}()
			if err := runChild(ctx, args[0], callers, most, cmd.OutOrStdout()); err != nil {
				return err
			}
			<-ctx.Done()
			return nil
		},
	}
	cmd.Flags().IntVar(&callers, "callers", 0, "concurrent callers")
	cmd.Flags().IntVar(&most, "packages", 0, "how many packages of the catalogue, 0 for all")
	return cmd
}

func runChild(ctx context.Context, dir string, callers, most int, out io.Writer) error {
	d, err := readDataset(most)
	if err != nil {
		return err
	}
	db, err := open(ctx, dir, crashConfig)
	if err != nil {
		return err
	}
	app, err := define(ctx, db)
	if err != nil {
		return err
	}
	missing, err := missingPackages(ctx, app, d)
	if err != nil {
		return err
	}
	var mu sync.Mutex // one line at a time
	err = load(ctx, app, missing, callers, func(p *pack, r aedb.Result) error {
		mu.Lock()
		defer mu.Unlock()
		_, err := fmt.Fprintf(out, "%d %d\n", p.id(), r.CommitSeq)
		return err
	})
	if err != nil {
		return err
	}
	_, err = io.WriteString(out, loadedLine)
	return err
}

// missingPackages returns the packages that are not in the store.
func missingPackages(ctx context.Context, app *aedb.Scope, d *dataset) ([]pack, error) {
	there := map[int64]bool{}
	for row, err := range app.Rows(ctx, query.Select("id").From("packages"), aedb.AllowFullScan()) {
		if err != nil {
			return nil, err
		}
		there[row[0].AsInt()] = true
	}
	return slices.DeleteFunc(slices.Clone(d.packages), func(p pack) bool { return there[p.id()] }), nil
}

// child is the parent's view of a child process.
type child struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser // held open; see childCommand
	lines  *bufio.Reader
	stderr bytes.Buffer
}

// startChild starts this program once more. verb are the arguments that lead to
// the demo. The end of the context kills the child.
func startChild(ctx context.Context, verb []string, dir string, callers, most int) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, during(err, "find the program's own file")
	}
	args := append(slices.Clone(verb), childVerb, dir,
		fmt.Sprintf("--callers=%d", callers), fmt.Sprintf("--packages=%d", most))
	c := &child{cmd: exec.CommandContext(ctx, self, args...)}
	c.cmd.Stderr = &c.stderr
	if c.stdin, err = c.cmd.StdinPipe(); err != nil {
		return nil, during(err, "make a pipe to the child")
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, during(err, "make a pipe from the child")
	}
	c.lines = bufio.NewReader(out)
	if err := c.cmd.Start(); err != nil {
		return nil, during(err, "start the child")
	}
	return c, nil
}

// loadUntilKilled collects acknowledgements and kills the child after so many, or
// when it has nothing left to load. It goes on until the pipe is empty: what the
// child wrote before it died counts. A last line that the kill cut short says
// nothing.
func (c *child) loadUntilKilled(enough int, acknowledged map[int64]uint64) error {
	killed := false
	kill := func() error {
		if killed {
			return nil
		}
		killed = true
		return during(c.cmd.Process.Kill(), "kill the child")
	}
	var failed error
	for n := 0; failed == nil; {
		line, err := c.lines.ReadString('\n')
		if err != nil {
			break
		}
		if line == loadedLine {
			failed = kill()
			continue
		}
		var id int64
		var seq uint64
		if _, err := fmt.Sscanf(line, "%d %d\n", &id, &seq); err != nil {
			_ = kill()
			failed = errs.Wrap(errs.CodeInternal, err, "the child said %q", line)
			continue
		}
		acknowledged[id] = seq
		if n++; n >= enough {
			failed = kill()
		}
	}
	_ = c.stdin.Close()
	wait := c.cmd.Wait() // reaps it; after a kill it always reports one
	if failed == nil && !killed {
		failed = errs.New(errs.CodeInternal, "the child ended by itself (%v): %s", wait, strings.TrimSpace(c.stderr.String()))
	}
	return failed
}
