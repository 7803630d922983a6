package checkpoint

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/vfs"
)

const (
	filePrefix = "checkpoint-"
	fileSuffix = ".ckpt"
	tempSuffix = ".tmp"
)

// FileName returns the base name of the checkpoint at a commit seq.
func FileName(seq uint64) string {
	return fmt.Sprintf(filePrefix+"%016d"+fileSuffix, seq)
}

// ParseFileName returns the commit seq in the base name of a checkpoint, and
// false for every name that FileName does not produce.
func ParseFileName(name string) (seq uint64, ok bool) {
	digits, found := strings.CutPrefix(name, filePrefix)
	if !found {
		return 0, false
	}
	if digits, found = strings.CutSuffix(digits, fileSuffix); !found {
		return 0, false
	}
	seq, err := strconv.ParseUint(digits, 10, 64)
	return seq, err == nil && FileName(seq) == name
}

// List returns the commit seqs of the checkpoints in a directory, ascending.
func List(fsys vfs.FS, dir string) ([]uint64, error) {
	names, err := fsys.List(dir)
	if err != nil {
		return nil, errs.Wrap(errs.CodeIO, err, "list the checkpoints in %s", dir)
	}
	var seqs []uint64
	for _, name := range names {
		if seq, ok := ParseFileName(name); ok {
			seqs = append(seqs, seq)
		}
	}
	slices.Sort(seqs)
	return seqs, nil
}

// readFull fills b from the file at an offset.
func readFull(f vfs.File, b []byte, offset int64) error {
	n, err := f.ReadAt(b, offset)
	if n == len(b) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return errs.Wrap(errs.CodeDecode, io.ErrUnexpectedEOF, "read %d bytes at %d", len(b), offset)
	}
	return errs.Wrap(errs.CodeIO, err, "read %d bytes at %d", len(b), offset)
}
