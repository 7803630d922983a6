package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/empyrealapp/aedb-go"
)

// kvFlags are the flags that the key-value verbs share.
type kvFlags struct {
	store storeFlags
	scope scopeFlags
	hex   bool
}

// parse reads a key or a value from the command line.
func (f *kvFlags) parse(what, text string) ([]byte, error) {
	if !f.hex {
		return []byte(text), nil
	}
	b, err := hex.DecodeString(text)
	if err != nil {
		return nil, usagef("the %s is not pairs of hexadecimal digits", what)
	}
	return b, nil
}

// show writes a key or a value such that it stays on one line. Text that would
// not, or that could be taken for quoted, is quoted as in Go.
func (f *kvFlags) show(b []byte) string {
	if f.hex {
		return hex.EncodeToString(b)
	}
	s := string(b)
	plain := utf8.ValidString(s) && !strings.HasPrefix(s, `"`) &&
		strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
	if plain {
		return s
	}
	return strconv.Quote(s)
}

func newKV() *cobra.Command {
	f := &kvFlags{}
	cmd := &cobra.Command{
		Use:   "kv",
		Short: "Read and write the key-value space of a scope",
		Args:  cobra.NoArgs,
		RunE:  operation(func(*cobra.Command, []string) error { return usagef("kv needs one of get, set and scan") }),
	}
	f.store.register(cmd.PersistentFlags())
	f.scope.register(cmd.PersistentFlags())
	cmd.PersistentFlags().BoolVar(&f.hex, "hex", false, "keys and values in hexadecimal")
	cmd.AddCommand(newKVGet(f), newKVSet(f), newKVScan(f))
	return cmd
}

func newKVGet(f *kvFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "get KEY",
		Short: "Print the value under a key",
		Args:  cobra.ExactArgs(1),
		RunE: operation(func(cmd *cobra.Command, args []string) error {
			key, err := f.parse("key", args[0])
			if err != nil {
				return err
			}
			return f.store.read(cmd, func(ctx context.Context, r *aedb.Reader) error {
				e, found, err := f.scope.in(r).KV().Get(ctx, key)
				if err != nil {
					return err
				}
				if !found {
					return &failure{
						exit: exitFailed, code: "key_not_found", what: fmt.Sprintf("there is no key %s", f.show(key)),
						hint: "aedb kv scan lists the keys",
					}
				}
				value := string(e.Value) // as it is: the only thing on standard output
				if f.hex {
					value = hex.EncodeToString(e.Value)
				}
				_, err = fmt.Fprintln(cmd.OutOrStdout(), value)
				return err
			})
		}),
	}
}

func newKVSet(f *kvFlags) *cobra.Command {
	var finality finalityFlag
	cmd := &cobra.Command{
		Use:   "set KEY VALUE",
		Short: "Set a key; project and scope are made if they are not there",
		Args:  cobra.ExactArgs(2),
		RunE: operation(func(cmd *cobra.Command, args []string) error {
			key, keyErr := f.parse("key", args[0])
			value, valueErr := f.parse("value", args[1])
			if err := errors.Join(keyErr, valueErr); err != nil {
				return err
			}
			return f.store.write(cmd, func(ctx context.Context, db *aedb.DB) error {
				if err := f.scope.ensure(ctx, db); err != nil {
					return err
				}
				app := f.scope.of(db)
				r, err := app.CommitEnvelope(ctx, aedb.Envelope{Mutations: []aedb.Mutation{app.KvSet(key, value)}}, finality.Finality)
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "seq %d, durable head %d\n", r.CommitSeq, r.DurableSeq)
				return err
			})
		}),
	}
	cmd.Flags().Var(&finality, "finality", "wait until the commit is visible or durable")
	return cmd
}

func newKVScan(f *kvFlags) *cobra.Command {
	var prefix, start, end string
	var r aedb.Range
	cmd := &cobra.Command{
		Use:   "scan",
		Short: "List keys and values, a tab between them",
		Args:  cobra.NoArgs,
		RunE: operation(func(cmd *cobra.Command, _ []string) error {
			if r.Limit < 0 {
				return usagef("--limit is negative")
			}
			for flag, to := range map[string]*[]byte{"prefix": &r.Prefix, "start": &r.Start, "end": &r.End} {
				if !cmd.Flags().Changed(flag) {
					continue
				}
				b, err := f.parse("--"+flag, cmd.Flag(flag).Value.String())
				if err != nil {
					return err
				}
				*to = b
			}
			return f.store.read(cmd, func(ctx context.Context, from *aedb.Reader) error {
				out := bufio.NewWriter(cmd.OutOrStdout())
				for e, err := range f.scope.in(from).KV().Scan(ctx, r) {
					if err != nil {
						return errors.Join(err, out.Flush())
					}
					line := f.show(e.Key)
					if !r.KeysOnly {
						line += "\t" + f.show(e.Value)
					}
					fmt.Fprintln(out, line) // Flush returns the first error
				}
				return out.Flush()
			})
		}),
	}
	flags := cmd.Flags()
	flags.StringVar(&prefix, "prefix", "", "keys that begin with this")
	flags.StringVar(&start, "start", "", "keys from this one on")
	flags.StringVar(&end, "end", "", "keys below this one")
	flags.BoolVar(&r.Reverse, "reverse", false, "highest key first")
	flags.IntVar(&r.Limit, "limit", 0, "at most so many keys; 0 is no limit")
	flags.BoolVar(&r.KeysOnly, "keys-only", false, "leave the values out")
	return cmd
}

// finalityFlag is a flag with the values visible and durable.
type finalityFlag struct{ aedb.Finality }

func (f *finalityFlag) String() string {
	if f.Finality == aedb.Durable {
		return "durable"
	}
	return "visible"
}

func (f *finalityFlag) Set(s string) error {
	switch s {
	case "visible":
		f.Finality = aedb.Visible
	case "durable":
		f.Finality = aedb.Durable
	default:
		return errors.New("it is visible or durable")
	}
	return nil
}

func (f *finalityFlag) Type() string { return "visible|durable" }
