package manifest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/keys"
	"github.com/empyrealapp/aedb-go/vfs"
)

const (
	filePrefix = "manifest-"
	fileSuffix = ".json"
	tempSuffix = ".tmp"

	// maxFileBytes is more than any manifest has, and what Load reads at most.
	maxFileBytes = 64 << 20
)

// ErrNone says that a directory holds no manifest at all, not even a damaged
// one. It matches fs.ErrNotExist.
var ErrNone = errs.Wrap(errs.CodeUnavailable, fs.ErrNotExist, "no manifest")

// Report tells which generations Load turned down.
type Report struct {
	// Rejected are the generations that were tried in vain, newest first.
	Rejected []Rejection
	// Key is the ID of the key that the one found is signed under, "" if it is not
	// signed.
	Key string
}

// Rejection is one generation that could not be used.
type Rejection struct {
	// File is its base name.
	File string
	// Err is the reason.
	Err error
}

// FileName returns the base name of a generation.
func FileName(generation uint64) string {
	return fmt.Sprintf(filePrefix+"%016d"+fileSuffix, generation)
}

// ParseFileName returns the generation in a base name, and false for every name
// that FileName does not produce.
func ParseFileName(name string) (generation uint64, ok bool) {
	digits, found := strings.CutPrefix(name, filePrefix)
	if !found {
		return 0, false
	}
	if digits, found = strings.CutSuffix(digits, fileSuffix); !found {
		return 0, false
	}
	generation, err := strconv.ParseUint(digits, 10, 64)
	return generation, err == nil && FileName(generation) == name
}

// Store makes m durable without a signature; see StoreSigned.
func Store(fsys vfs.FS, dir string, m Manifest) error { return StoreSigned(fsys, dir, m, nil) }

// StoreSigned makes m durable as its generation, signed under the current key of the
// ring unless that is nil. The generation must be one above the newest
// that verifies: 1 for a new store, Generation+1 of what Load returned
// otherwise. A damaged file of that generation is replaced. When the new
// generation is durable, those older than the one before it are removed, as far
// as that succeeds.
//
// After an error the old or the new generation is in force; which of the two,
// only Load can tell.
func StoreSigned(fsys vfs.FS, dir string, m Manifest, ring *keys.Ring) error {
	data, err := EncodeSigned(m, ring)
	if err != nil {
		return err
	}
	if len(data) > maxFileBytes {
		return errs.Exceeded("manifest", "max_file_bytes", int64(len(data)), maxFileBytes)
	}
	name := path.Join(dir, FileName(m.Generation))
	if err := replaceFile(fsys, name, data); err != nil {
		return errs.Wrap(errs.CodeIO, err, "write %s", name)
	}
	removeOlder(fsys, dir, m.Generation-1)
	return nil
}

// replaceFile makes data the durable content of a file, by way of a temporary
// one.
func replaceFile(fsys vfs.FS, name string, data []byte) error {
	temp := name + tempSuffix
	if err := fsys.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := fsys.Create(temp)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(data, 0)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := fsys.Rename(temp, name); err != nil {
		return err
	}
	return fsys.SyncDir(path.Dir(name))
}

// removeOlder removes the generations below oldest. What cannot be removed does
// no harm and is tried again by the next Store.
func removeOlder(fsys vfs.FS, dir string, oldest uint64) {
	generations, err := list(fsys, dir)
	if err != nil {
		return
	}
	for _, g := range generations {
		if g < oldest {
			_ = fsys.Remove(path.Join(dir, FileName(g)))
		}
	}
}

// Load returns the newest generation of a store that is not signed; see LoadSigned.
func Load(fsys vfs.FS, dir string) (Manifest, Report, error) {
	return LoadSigned(fsys, dir, nil, false)
}

// LoadSigned returns the newest generation that verifies, and a report of those
// that were turned down before it was found. With a ring only a signed generation
// does, without one only one that is not signed. With adopt, a ring also takes a
// store of which no generation is signed.
//
// Without any generation the error is ErrNone. If all are damaged it is
// errs.CodeRecoveryIntegrity and names them; if they would do but for the signature
// that they lack, errs.CodeUnavailable. A generation that verifies but that this
// version cannot read, or that is signed under a key that is not there, is
// errs.CodeUnavailable at once, and one that cannot be read from the disk errs.CodeIO,
// without a look at older ones.
func LoadSigned(fsys vfs.FS, dir string, ring *keys.Ring, adopt bool) (Manifest, Report, error) {
	var report Report
	generations, err := list(fsys, dir)
	if err != nil {
		return Manifest{}, report, err
	}
	if len(generations) == 0 {
		return Manifest{}, report, ErrNone
	}
	slices.Reverse(generations)
	for _, g := range generations {
		m, key, err := loadGeneration(fsys, dir, g, ring)
		if err == nil {
			report.Key = key
			return m, report, nil
		}
		if code := errs.CodeOf(err); code == errs.CodeUnavailable || code == errs.CodeIO && !errors.Is(err, fs.ErrNotExist) {
			return Manifest{}, report, err
		}
		report.Rejected = append(report.Rejected, Rejection{FileName(g), err})
	}
	switch {
	case !report.unsigned():
		return Manifest{}, report, report.fatal(errs.CodeRecoveryIntegrity, dir, "every manifest in %s is damaged")
	case adopt:
		return Load(fsys, dir)
	}
	return Manifest{}, report, report.fatal(errs.CodeUnavailable, dir, "the store in %s is not signed and has to be adopted before keys protect it")
}

// unsigned reports whether some generation lacks only a signature, and none has one
// that does not fit.
func (r Report) unsigned() bool {
	some := false
	for _, rejected := range r.Rejected {
		switch {
		case errors.Is(rejected.Err, errUnsigned):
			some = true
		case errs.CodeOf(rejected.Err) == errs.CodeIntegrity:
			return false
		}
	}
	return some
}

func (r Report) fatal(code errs.Code, dir, message string) error {
	reasons := make([]error, len(r.Rejected))
	for i, rejected := range r.Rejected {
		reasons[i] = rejected.Err
	}
	return errs.Wrap(code, errors.Join(reasons...), message, dir)
}

func loadGeneration(fsys vfs.FS, dir string, generation uint64, ring *keys.Ring) (Manifest, string, error) {
	name := path.Join(dir, FileName(generation))
	data, err := readFile(fsys, name)
	if err != nil {
		return Manifest{}, "", errs.Wrap(errs.CodeIO, err, "read %s", name)
	}
	m, key, err := DecodeSigned(data, ring)
	if err != nil {
		return Manifest{}, key, errs.Wrap(errs.CodeOf(err), err, "%s", name).On(FileName(generation))
	}
	if m.Generation != generation {
		return Manifest{}, key, errs.New(errs.CodeDecode, "%s holds generation %d", name, m.Generation)
	}
	return m, key, nil
}

func readFile(fsys vfs.FS, name string) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	if size > maxFileBytes {
		return nil, errs.Exceeded("manifest", "max_file_bytes", size, maxFileBytes)
	}
	data := make([]byte, size)
	if n, err := f.ReadAt(data, 0); err != nil && !(errors.Is(err, io.EOF) && n == len(data)) {
		return nil, err
	}
	return data, nil
}

// list returns the generations in a directory, ascending.
func list(fsys vfs.FS, dir string) ([]uint64, error) {
	names, err := fsys.List(dir)
	if err != nil {
		return nil, errs.Wrap(errs.CodeIO, err, "list the manifests in %s", dir)
	}
	var generations []uint64
	for _, name := range names {
		if g, ok := ParseFileName(name); ok {
			generations = append(generations, g)
		}
	}
	slices.Sort(generations)
	return generations, nil
}
