// Command peers measures AEDB beside the embedded stores it is compared with,
// and beside what the disk and a bare tree can do.
//
//	go run . [-short] [-case regexp] [-peer regexp] [-rounds n] [-format md|csv]
//
// Every measurement is made in a process of its own, on a fresh directory. Rounds
// are interleaved: each round goes through all peers of a case, beginning with
// another one each time, and the median of the rounds is reported.
package main

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"time"
)

// options are the flags of the command.
type options struct {
	Cases, Peers *regexp.Regexp
	Rounds       int
	Entries      int
	Duration     time.Duration
	Format       string
	Dir          string
	Profiles     string
	List         bool
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == childFlag {
		os.Exit(child(os.Args[2]))
	}
	o, err := parse(os.Args[1:])
	if err == nil {
		err = drive(o, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func parse(args []string) (o options, err error) {
	f := flag.NewFlagSet("peers", flag.ExitOnError)
	short := f.Bool("short", false, "one round, 100,000 entries, a quarter of a second each: about two minutes")
	cases := f.String("case", "", "regular expression of the cases to run; all but growth-entries-500% by default")
	peers := f.String("peer", "", "regular expression of the peers to run; all by default")
	f.IntVar(&o.Rounds, "rounds", 3, "rounds; 1 with -short")
	f.IntVar(&o.Entries, "entries", 1_000_000, "entries of 100 bytes; 100,000 with -short")
	f.DurationVar(&o.Duration, "duration", 2*time.Second, "length of a timed measurement; 250ms with -short")
	f.StringVar(&o.Format, "format", "md", "md or csv")
	f.StringVar(&o.Dir, "dir", os.TempDir(), "where the stores are made: on the disk that is to be measured")
	f.StringVar(&o.Profiles, "profiles", "", "directory for processor profiles, one for each case and peer")
	f.BoolVar(&o.List, "list", false, "list the cases and the peers")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if *short {
		given := map[string]bool{}
		f.Visit(func(f *flag.Flag) { given[f.Name] = true })
		if !given["rounds"] {
			o.Rounds = 1
		}
		if !given["entries"] {
			o.Entries = 100_000
		}
		if !given["duration"] {
			o.Duration = 250 * time.Millisecond
		}
	}
	if o.Format != "md" && o.Format != "csv" {
		return o, fmt.Errorf("unknown format %q", o.Format)
	}
	if o.Rounds < 1 || o.Entries < 1000 || o.Duration <= 0 {
		return o, fmt.Errorf("rounds and duration must be positive, entries at least 1,000")
	}
	if o.Cases, err = regexp.Compile(*cases); err != nil {
		return o, err
	}
	o.Peers, err = regexp.Compile(*peers)
	return o, err
}
