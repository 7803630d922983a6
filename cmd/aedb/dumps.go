package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/spf13/cobra"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/dump"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/vfs"
)

func newDump() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dump",
		Short: "Export a store as a portable text, import it, compare",
		Long: `A dump is one state of a store as JSON Lines, with a digest: whoever imports it has the
very same state. Equal states of a store give equal bytes. A file whose name ends in
.zst is compressed.

A dump is not encrypted, whatever the store is.`,
		Args: cobra.NoArgs,
		RunE: operation(func(*cobra.Command, []string) error { return usagef("dump needs one of export, import and parity") }),
	}
	cmd.AddCommand(newDumpExport(), newDumpImport(), newDumpParity())
	return cmd
}

// dumpAnswer is the answer of export and import.
type dumpAnswer struct {
	Seq    uint64 `json:"current_seq"`
	Digest string `json:"parity_checksum_hex"`
	Tables int    `json:"tables"`
	Rows   int    `json:"table_rows"`
	Keys   int    `json:"kv_entries"`
}

func answerOf(h aedb.DumpHeader) dumpAnswer {
	return dumpAnswer{Seq: h.Seq, Digest: h.Digest, Tables: h.Tables, Rows: h.Rows, Keys: h.Keys}
}

func (a dumpAnswer) print(out io.Writer) {
	fmt.Fprintf(out, "ok  seq %d  tables %d  rows %d  keys %d\ndigest %s\n", a.Seq, a.Tables, a.Rows, a.Keys, a.Digest)
}

func newDumpExport() *cobra.Command {
	e := &explorer{}
	var path, at string
	cmd := e.command(&cobra.Command{
		Use: "export", Short: "Write a dump; the store may be open elsewhere",
		Long: "export writes the file under a temporary name and renames it when it is whole. A file\nthat is there is not replaced.",
	}, func(ctx context.Context, cmd *cobra.Command, r *aedb.Reader) error {
		if path == "" {
			return usagef("--out is required")
		}
		consistency, err := parseConsistency(at)
		if err != nil {
			return err
		}
		h, err := exportTo(ctx, cmd, path, r, consistency)
		if err != nil {
			return err
		}
		a := answerOf(h)
		return e.answer.write(cmd, a, a.print)
	})
	cmd.Flags().StringVar(&path, "out", "", "file to write (required)")
	cmd.Flags().StringVar(&at, "at", "latest", "state to export: latest, durable or checkpoint")
	return cmd
}

// exportTo writes a dump to a file, which is there only if it is whole and synced.
func exportTo(ctx context.Context, cmd *cobra.Command, path string, r *aedb.Reader, at aedb.Consistency) (h aedb.DumpHeader, err error) {
	if _, err := os.Lstat(path); err == nil {
		return h, &failure{exit: exitFailed, code: "output", what: path + " is there already", hint: "choose another name for --out"}
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return h, err
	}
	defer os.Remove(f.Name()) // there is nothing of that name any more if all went well
	b := &dumpBar{out: cmd.ErrOrStderr()}
	err = packed(path, f, func(w io.Writer) (err error) {
		h, err = r.ExportDump(ctx, w, at, b.show)
		return err
	})
	b.end()
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return h, err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return h, err
	}
	return h, vfs.OS().SyncDir(filepath.Dir(path)) // the name has to outlast a power cut too
}

// packed gives write a writer to f that compresses if the name asks for it.
func packed(name string, f io.Writer, write func(io.Writer) error) error {
	if !strings.HasSuffix(name, ".zst") {
		return write(f)
	}
	z, err := zstd.NewWriter(f, zstd.WithEncoderConcurrency(1)) // equal bytes, whatever the machine
	if err != nil {
		return err
	}
	if err := write(z); err != nil {
		return errors.Join(err, z.Close())
	}
	return z.Close()
}

// unpacked gives read what is in a dump file.
func unpacked(path string, read func(io.Reader) error) error {
	f, err := os.Open(path)
	if err != nil {
		return &failure{exit: exitFailed, code: "input", what: err.Error(), hint: "check --dump"}
	}
	defer f.Close() // it was only read
	if !strings.HasSuffix(path, ".zst") {
		return read(f)
	}
	z, err := zstd.NewReader(bufio.NewReader(f))
	if err != nil {
		return err
	}
	defer z.Close()
	return read(unpacker{z})
}

// unpacker reads what is packed in a file.
type unpacker struct{ packed *zstd.Decoder }

// Read implements io.Reader. An error that is not the file's is damage to what it holds.
func (u unpacker) Read(p []byte) (int, error) {
	n, err := u.packed.Read(p)
	if _, reading := errors.AsType[*fs.PathError](err); err == nil || err == io.EOF || reading {
		return n, err
	}
	return n, errs.Wrap(errs.CodeIntegrity, err, "the compressed dump is damaged or cut short")
}

func newDumpImport() *cobra.Command {
	var store storeFlags
	var answer answerFlag
	var path string
	cmd := &cobra.Command{
		Use: "import", Short: "Make a store of a dump, in a directory that is absent or empty",
		Long: `import proves the whole dump before it makes a store: digests, schema and invariants.
After a failure nothing is left behind. The store has an identity of its own.`,
		Args: cobra.NoArgs,
		RunE: operation(func(cmd *cobra.Command, _ []string) error {
			cfg, err := store.config(cmd)
			if err != nil {
				return err
			}
			if path == "" {
				return usagef("--dump is required")
			}
			var h aedb.DumpHeader
			b := &dumpBar{out: cmd.ErrOrStderr()}
			err = unpacked(path, func(in io.Reader) (err error) {
				h, err = aedb.ImportDump(cmd.Context(), in, store.dir, cfg, b.show)
				return err
			})
			b.end()
			if err != nil {
				return err
			}
			a := answerOf(h)
			return answer.write(cmd, a, a.print)
		}),
	}
	store.registerReading(cmd.Flags())
	store.keys.registerWriting(cmd.Flags())
	answer.register(cmd.Flags())
	cmd.Flags().StringVar(&path, "dump", "", "dump to import (required)")
	return cmd
}

// parityAnswer is the answer of parity.
type parityAnswer struct {
	Expected    string `json:"expected_checksum_hex"`
	Actual      string `json:"actual_checksum_hex"`
	ExpectedSeq uint64 `json:"expected_seq"`
	ActualSeq   uint64 `json:"actual_seq"`
	Matches     bool   `json:"matches"`
}

func newDumpParity() *cobra.Command {
	e := &explorer{}
	var path string
	cmd := e.command(&cobra.Command{
		Use: "parity", Short: "Compare the state of a store with a dump, which is read whole",
		Long: "The exit code is 1 if the states differ.",
	}, func(ctx context.Context, cmd *cobra.Command, r *aedb.Reader) error {
		if path == "" {
			return usagef("--dump is required")
		}
		var h aedb.DumpHeader
		err := unpacked(path, func(in io.Reader) (err error) {
			_, h, err = dump.Read(ctx, in, nil)
			return err
		})
		if err != nil {
			return err
		}
		seq, digest, err := r.Digest(aedb.AtLatest)
		if err != nil {
			return err
		}
		a := parityAnswer{Expected: h.Digest, Actual: hex.EncodeToString(digest[:]), ExpectedSeq: h.Seq, ActualSeq: seq}
		a.Matches = a.Expected == a.Actual
		err = e.answer.write(cmd, a, func(out io.Writer) {
			word := "ok"
			if !a.Matches {
				word = "mismatch"
			}
			fmt.Fprintf(out, "%s\nexpected %s, seq %d\nactual   %s, seq %d\n", word, a.Expected, a.ExpectedSeq, a.Actual, a.ActualSeq)
		})
		if err == nil && !a.Matches {
			return &failure{exit: exitFailed, code: "parity_mismatch", what: "the store and the dump hold different states", hint: "compare the seqs"}
		}
		return err
	})
	cmd.Flags().StringVar(&path, "dump", "", "dump to compare with (required)")
	return cmd
}

// dumpBar shows how many entries are done.
type dumpBar struct {
	out io.Writer
	bar *bar
}

func (b *dumpBar) show(done, total int64) {
	if b.bar == nil {
		b.bar = newBar(b.out, total)
	}
	b.bar.show(done, fmt.Sprintf("%d entries", done))
}

func (b *dumpBar) end() { b.bar.end() }
