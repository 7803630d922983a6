package demo

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	aedb "github.com/empyrealapp/aedb-go"
)

func TestDatasetIsWholeAndItsRelationsHold(t *testing.T) {
	d, err := readDataset(0)
	require.NoError(t, err)
	require.Len(t, d.packages, 3241)
	require.Equal(t, 18023, d.dependencies)

	names := map[string]bool{}
	ids := map[int64]bool{}
	for i := range d.packages {
		p := &d.packages[i]
		require.Len(t, p.row, len(packagesTable().Columns))
		require.False(t, names[p.name()], p.name())
		require.False(t, ids[p.id()], p.id())
		names[p.name()], ids[p.id()] = true, true
		require.NotEmpty(t, p.version())
		require.Len(t, p.row[11].AsBlob(), 32)
	}
	require.True(t, names[subject])

	total, hard, resolved := 0, 0, 0
	for i := range d.packages {
		p := &d.packages[i]
		for j, row := range p.dependencies {
			total++
			require.Len(t, row, len(dependenciesTable().Columns))
			require.Equal(t, p.row[0], row[0])
			if j > 0 {
				require.Negative(t, byKindAndOrdinal(p.dependencies[j-1], row), "%s: primary keys ascend", p.name())
			}
			require.Equal(t, row[5].IsNull(), row[6].IsNull(), "a relation comes with a version")
			if slices.Contains([]string{"Depends", "Pre-Depends"}, row[1].AsText()) {
				hard++
				if names[row[4].AsText()] {
					resolved++
				}
			}
		}
	}
	require.Equal(t, d.dependencies, total)
	require.Equal(t, 15525, hard)
	require.Equal(t, 14629, resolved, "the other names are virtual")
}

func TestPartOfTheDatasetIsItsBeginning(t *testing.T) {
	whole, err := readDataset(0)
	require.NoError(t, err)
	part, err := readDataset(quickPackages)
	require.NoError(t, err)
	require.Equal(t, whole.packages[:quickPackages], part.packages)
	require.True(t, slices.ContainsFunc(part.packages, func(p pack) bool { return p.name() == subject }))
}

func TestRecordThatDoesNotParseIsRefused(t *testing.T) {
	_, err := packageRow([]string{"x", "", "", "", "", "", "", "1", "1", "", "", "00"})
	require.Error(t, err)
	_, err = dependencyRow([]string{"1", "", "x", "0", "", "", ""})
	require.Error(t, err)
	row, err := dependencyRow([]string{"1", "Depends", "2", "0", "libc6", "", ""})
	require.NoError(t, err)
	require.Equal(t, aedb.Null(), row[5])
}
