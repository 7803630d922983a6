package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// answerFlag chooses between an answer for people and one for programs.
type answerFlag struct{ json bool }

func (f *answerFlag) register(flags *pflag.FlagSet) {
	flags.BoolVar(&f.json, "json", false, "print JSON")
}

// write prints the answer as JSON, or has text print it for people.
func (f *answerFlag) write(cmd *cobra.Command, answer any, text func(io.Writer)) error {
	out := bufio.NewWriter(cmd.OutOrStdout())
	if f.json {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		if err := e.Encode(answer); err != nil {
			return err
		}
	} else {
		text(out)
	}
	return out.Flush() // the first error of all that was written
}

// printTable prints a table for people.
func printTable(out io.Writer, header table.Row, rows []table.Row) {
	t := plainTable()
	t.AppendHeader(header)
	t.AppendRows(rows)
	fmt.Fprintln(out, t.Render())
}

// passed is how a check that may fail is called.
func passed(ok bool) string {
	if ok {
		return "ok"
	}
	return "FAILED"
}

// oneLine escapes what would break a cell.
func oneLine(s string) string { return lineBreaks.Replace(s) }

var lineBreaks = strings.NewReplacer("\\", `\\`, "\t", `\t`, "\n", `\n`, "\r", `\r`)

// checkFailed is the failure of a check whose result has been printed.
func checkFailed(what, hint string) error {
	return &failure{exit: exitFailed, code: "check_failed", what: what, hint: hint}
}
