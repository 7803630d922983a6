package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
)

func manual(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/cli.md")
	require.NoError(t, err)
	return string(text)
}

func TestExamplesOfTheManualRun(t *testing.T) {
	text := manual(t)
	t.Chdir(t.TempDir())
	csv := regexp.MustCompile("(?s)```csv (\\S+)\n(.*?)```").FindStringSubmatch(text)
	require.NoError(t, os.WriteFile(filepath.Base(csv[1]), []byte(csv[2]), 0o600))
	examples := regexp.MustCompile(`(?m)^\$ aedb (.*?)(?: # exit (\d))?$`).FindAllStringSubmatch(text, -1)
	require.Greater(t, len(examples), 20)
	for _, example := range examples {
		want, _ := strconv.Atoi(example[2]) // 0 if it says nothing
		o := run(words(example[1])...)
		require.Equal(t, want, o.code, "%s\n%s", example[0], o.stderr)
	}
}

// words splits a command line, whose only quotes are double ones.
func words(line string) (all []string) {
	for _, m := range regexp.MustCompile(`"([^"]*)"|(\S+)`).FindAllStringSubmatch(line, -1) {
		all = append(all, m[1]+m[2])
	}
	return all
}

func TestManualNamesEveryVerb(t *testing.T) {
	text := manual(t)
	var walk func(path string, cmd *cobra.Command)
	walk = func(path string, cmd *cobra.Command) {
		for _, sub := range cmd.Commands() {
			name := strings.TrimSpace(path + " " + sub.Name())
			if sub.HasSubCommands() {
				walk(name, sub)
			} else if sub.Runnable() && path != "demo" {
				require.Contains(t, text, "`"+name, "the manual lacks %s", name)
			}
		}
	}
	walk("", newRoot())
}

func TestNoFlagTakesASecret(t *testing.T) {
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			require.NotRegexp(t, `secret|password|key-hex|hmac`, f.Name, cmd.CommandPath())
		})
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	walk(newRoot())
}
