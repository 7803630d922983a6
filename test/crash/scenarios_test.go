package crash

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEveryScenarioHasItsTests(t *testing.T) {
	raw, err := os.ReadFile("README.md")
	require.NoError(t, err)
	for _, name := range regexp.MustCompile("`(?:([a-z/]+)\\.)?(Test\\w+)`").FindAllSubmatch(raw, -1) {
		folder := string(name[1])
		switch folder {
		case "":
			folder = "test/crash"
		case "aedb":
			folder = "."
		}
		files, err := filepath.Glob(filepath.Join("../..", folder, "*_test.go"))
		require.NoError(t, err)
		declared, found := regexp.MustCompile(`(?m)^func `+string(name[2])+`\(t \*testing\.T\)`), false
		for _, file := range files {
			source, err := os.ReadFile(file)
			require.NoError(t, err)
			found = found || declared.Match(source)
		}
		require.True(t, found, "%s in %s", name[2], folder)
	}
}
