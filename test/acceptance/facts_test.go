// Package acceptance proves what a transaction promises, one fact after another,
// through the API that programs use. README.md lists the facts with their tests,
// also those that live elsewhere.
package acceptance

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// lastFact is the number of facts.
const lastFact = 73

func TestEveryFactHasItsTests(t *testing.T) {
	raw, err := os.ReadFile("README.md")
	require.NoError(t, err)
	seen := map[int]bool{}
	for _, row := range regexp.MustCompile(`(?m)^\| (\d+)(?:, (\d+))? \|.*\| (.+) \|$`).FindAllSubmatch(raw, -1) {
		for _, number := range row[1:3] {
			if n, err := strconv.Atoi(string(number)); err == nil {
				require.False(t, seen[n], "fact %d is listed twice", n)
				seen[n] = true
			}
		}
	}
	for n := 1; n <= lastFact; n++ {
		require.True(t, seen[n], "fact %d", n)
	}
	for _, name := range regexp.MustCompile("`(?:([a-z/]+)\\.)?(Test\\w+)`").FindAllSubmatch(raw, -1) {
		folder := string(name[1])
		switch folder {
		case "":
			folder = "test/acceptance"
		case "aedb":
			folder = "."
		}
		require.True(t, hasTest(t, filepath.Join("../..", folder), string(name[2])), "%s in %s", name[2], folder)
	}
}

// hasTest reports whether a folder has a test of that name.
func hasTest(t *testing.T, folder, name string) bool {
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	require.NoError(t, err)
	declared := regexp.MustCompile(`(?m)^func ` + name + `\(t \*testing\.T\)`)
	for _, file := range files {
		raw, err := os.ReadFile(file)
		require.NoError(t, err)
		if declared.Match(raw) {
			return true
		}
	}
	return false
}
