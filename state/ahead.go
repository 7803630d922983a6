package state

import "github.com/empyrealapp/aedb-go/catalog"

// expected are keys of one space that are going to be read or written soon.
type expected struct {
	space catalog.SpaceID
	keys  [][]byte
}

// fewest is the number of keys of a space from which on it is worth searching for
// them twice.
const fewest = 4

// Expect tells that a key is going to be read or written, soon after the next
// Fetch. The slice must not change until then.
func (w *Working) Expect(space catalog.SpaceID, key []byte) {
	for i := range w.expected {
		if e := &w.expected[i]; e.space == space || len(e.keys) == 0 {
			e.space = space
			e.keys = append(e.keys, key)
			return
		}
	}
	w.expected = append(w.expected, expected{space, [][]byte{key}})
}

// Fetch brings what is under the expected keys into the caches of the processor,
// many at a time. It changes nothing but the time that comes after.
func (w *Working) Fetch() {
	for i := range w.expected {
		e := &w.expected[i]
		if len(e.keys) >= fewest {
			w.tree(e.space).Touch(e.keys)
		}
		clear(e.keys)
		e.keys = e.keys[:0]
	}
}
