package executor

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/msgs"
)

// A request weighs what it looks at, wherever it says so.
func TestWeightCountsTheRowsThatAssertionsLookAt(t *testing.T) {
	s := newStore(t)
	count := msgs.CountCompare{Table: users, Op: msgs.Eq}
	for name, env := range map[string]msgs.Envelope{
		"assertion":       {Assertions: []msgs.Assertion{count}, Mutations: []msgs.Mutation{set("k", "v")}},
		"check":           {Mutations: []msgs.Mutation{msgs.PostflightCheck{Assertions: []msgs.Assertion{count}}}},
		"guard":           {Mutations: []msgs.Mutation{msgs.Guarded{If: []msgs.Assertion{count}, Do: set("k", "v")}}},
		"nested":          {Mutations: []msgs.Mutation{msgs.PostflightCheck{Assertions: []msgs.Assertion{msgs.Not{Inner: msgs.All{count}}}}}},
		"selection":       {Mutations: []msgs.Mutation{msgs.DeleteRows{Selection: msgs.Selection{Table: users}}}},
		"guarded removal": {Mutations: []msgs.Mutation{msgs.Guarded{Do: msgs.DeleteRows{Selection: msgs.Selection{Table: users}}}}},
	} {
		r, err := s.x.Prepare(s.w.Catalog(), &env)
		require.NoError(t, err, name)
		require.GreaterOrEqual(t, Weight(r), selectionWeight, name)
		require.Less(t, Weight(r), 2*selectionWeight, name)
	}
}
