package walwriter

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/msgs"
)

func TestOutletGivesEachEpochToOneStage(t *testing.T) {
	plan := &Plan{Epochs: []*msgs.Epoch{{Number: 1}, {Number: 2}}}

	publication, written := (&Outlet{SyncFirst: true}).Pass(plan, &msgs.Written{Bytes: 7})
	require.Nil(t, publication)
	require.Equal(t, &msgs.Written{Bytes: 7, Epochs: plan.Epochs}, written)

	publication, written = (&Outlet{}).Pass(plan, &msgs.Written{Bytes: 7})
	require.Equal(t, &msgs.Publication{Epochs: plan.Epochs}, publication)
	require.Equal(t, &msgs.Written{Bytes: 7}, written)
}

func TestOutletTellsOfUnsyncedBytesOnceSomebodyAsks(t *testing.T) {
	for name, asks := range map[string]msgs.Written{
		"a request that must be durable": {Bytes: 4, MustSync: true},
		"a file to be closed":            {Bytes: 4, Retired: &segmentFile{}},
		"a sealed segment":               {Bytes: 4, Sealed: []msgs.Segment{{Number: 1}}},
	} {
		t.Run(name, func(t *testing.T) {
			o := Outlet{OnDemand: true}
			plan := &Plan{Epochs: []*msgs.Epoch{{}}}
			for seq := range uint64(3) {
				publication, written := o.Pass(plan, &msgs.Written{LastSeq: seq, Bytes: 10})
				require.NotNil(t, publication)
				require.Nil(t, written)
			}
			require.Equal(t, &msgs.Written{LastSeq: 2, Bytes: 30}, o.Rest())
			_, written := o.Pass(plan, &asks)
			require.EqualValues(t, 34, written.Bytes)
			require.Nil(t, o.Rest())
		})
	}
}
