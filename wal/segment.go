package wal

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/vfs"
)

const (
	segmentPrefix = "wal-"
	segmentSuffix = ".seg"
)

// SegmentName returns the base name of the segment with the given number.
func SegmentName(number uint64) string {
	return fmt.Sprintf(segmentPrefix+"%016d"+segmentSuffix, number)
}

// ParseSegmentName returns the number in the base name of a segment, and false
// for every name that SegmentName does not produce.
func ParseSegmentName(name string) (number uint64, ok bool) {
	digits, found := strings.CutPrefix(name, segmentPrefix)
	if !found {
		return 0, false
	}
	if digits, found = strings.CutSuffix(digits, segmentSuffix); !found {
		return 0, false
	}
	number, err := strconv.ParseUint(digits, 10, 64)
	return number, err == nil && SegmentName(number) == name
}

// ListSegments returns the numbers of the segments in a directory, ascending.
// Entries with other names are passed over.
func ListSegments(fsys vfs.FS, dir string) ([]uint64, error) {
	names, err := fsys.List(dir)
	if err != nil {
		return nil, errs.Wrap(errs.CodeIO, err, "list the log segments in %s", dir)
	}
	var numbers []uint64
	for _, name := range names {
		if n, ok := ParseSegmentName(name); ok {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}
