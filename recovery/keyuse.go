package recovery

import (
	"maps"
	"slices"

	"github.com/empyrealapp/aedb-go/checkpoint"
	"github.com/empyrealapp/aedb-go/manifest"
	"github.com/empyrealapp/aedb-go/wal"
)

// keysInUse looks at what is in the directory after the repair. A file that cannot be
// read is passed over: whoever needs it says so.
func (r *recoverer) keysInUse() []KeyUse {
	if !r.Sealing.On() {
		return nil
	}
	names, err := r.FS.List(r.Dir)
	if err != nil {
		return nil
	}
	files := map[string][]string{}
	for _, name := range names {
		if key := r.keyOf(name); key != "" {
			files[key] = append(files[key], name)
		}
	}
	var uses []KeyUse
	for _, key := range slices.Sorted(maps.Keys(files)) {
		uses = append(uses, KeyUse{key, files[key]})
	}
	return uses
}

// keyOf returns the key that a file names, "" for none.
func (r *recoverer) keyOf(name string) (key string) {
	if _, ok := wal.ParseSegmentName(name); ok {
		if data, err := r.readFile(name, wal.HeaderSize+wal.SealSize); err == nil {
			key, _ = wal.SealedUnder(data)
		}
	} else if _, ok := checkpoint.ParseFileName(name); ok {
		key, _ = checkpoint.SealedUnder(r.FS, r.path(name))
	} else if _, ok := manifest.ParseFileName(name); ok {
		if data, err := r.readFile(name, -1); err == nil {
			_, key, _ = manifest.DecodeSigned(data, r.Sealing.Ring)
		}
	}
	return key
}
