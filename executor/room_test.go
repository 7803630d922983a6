package executor

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/msgs"
)

// What is kept of a request for long, such as a key that was removed, holds the piece that
// it lies in: that has no room for the keys of puts, which lie elsewhere.
func TestRoomForKeysIsForThoseThatUseIt(t *testing.T) {
	var mutations []msgs.Mutation
	for i := range 100 {
		mutations = append(mutations, set(fmt.Sprint(i), "v"))
	}
	q := &msgs.Request{}
	q.Take(append(mutations, unset("k")))
	r := roomFor(q, 0)
	r.clone([]byte("k"))
	require.LessOrEqual(t, cap(r.keys), usualKey)
}
