package report_test

import (
	"encoding/csv"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/test/peers/cases"
	"github.com/empyrealapp/aedb-go/test/peers/report"
	"github.com/empyrealapp/aedb-go/test/peers/store"
)

func peer(name string, role store.Role, given store.Level) *store.Peer {
	return &store.Peer{Name: name, Role: role, Levels: map[store.Level]store.Guarantee{store.Power: {Given: given, How: "so"}}}
}

func table() *report.Table {
	t := &report.Table{Case: &cases.Case{
		Name: "put", Title: "a put", Unit: "puts/s", Level: store.Power,
		Targets: []cases.Target{{Ratio: 1.1}, {Against: "limit", Ratio: 0.9}, {Against: "weak", Ratio: 0.1}, {Against: "absent", Ratio: 1}},
	}}
	for _, v := range []struct {
		p      *store.Peer
		values []float64
	}{
		{peer("aedb", store.Subject, store.Power), []float64{240, 260, 10}},
		{peer("slow", store.Rival, store.Power), []float64{100}},
		{peer("fast", store.Rival, store.Power), []float64{200}},
		{peer("weak", store.Rival, store.Memory), []float64{1000}},
		{peer("disk", store.Limit, store.Power), []float64{300}},
	} {
		for _, value := range v.values {
			t.Add(v.p, &cases.Result{Value: value}, nil)
		}
	}
	t.Add(peer("broken", store.Rival, store.Power), nil, errors.New("no room"))
	return t
}

func TestOnlyRivalsOfEqualGuaranteeAreTheMeasure(t *testing.T) {
	v := table().Verdicts()
	require.Equal(t, "fast", v[0].Against)
	require.InDelta(t, 1.2, v[0].Reached, 1e-9) // the median of AEDB is 240
	require.True(t, v[0].Met)
	require.Equal(t, "disk", v[1].Against)
	require.False(t, v[1].Met)
	require.Equal(t, "weak", v[2].Against, "unless a target names one")
	require.False(t, v[3].Met, "what was not measured is not met")
}

func TestBothFormatsShowEveryPeer(t *testing.T) {
	var md, raw strings.Builder
	require.NoError(t, report.Markdown(&md, "About.\n", []*report.Table{table()}))
	require.NoError(t, report.CSV(&raw, []*report.Table{table()}))
	records, err := csv.NewReader(strings.NewReader(raw.String())).ReadAll()
	require.NoError(t, err)
	require.Len(t, records, 7)
	for _, name := range []string{"aedb", "slow", "fast", "weak", "disk", "broken"} {
		require.Contains(t, md.String(), "| "+name+" |")
		require.Contains(t, raw.String(), "put,"+name+",")
	}
	require.Contains(t, md.String(), "failed: no room")
}
