package manifest

import "github.com/empyrealapp/aedb-go/vfs"

// Newest returns the newest generation that a directory has a file of, 0 if there is
// none. It does not look into the file: it is for those who watch a store from
// outside, and want to know whether its manifest is still the one that they read.
func Newest(fsys vfs.FS, dir string) (uint64, error) {
	generations, err := list(fsys, dir)
	if err != nil || len(generations) == 0 {
		return 0, err
	}
	return generations[len(generations)-1], nil
}
