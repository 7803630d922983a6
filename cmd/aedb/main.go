// Command aedb imports files into a store, asks it questions, proves and repairs it.
// A verb that writes opens the store in a directory, does its work and closes it; one
// that only reads looks at it from outside.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(execute(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// execute runs one command line and returns the exit code. The end of the context
// is an interruption by the user.
func execute(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return report(ctx, stderr, root.ExecuteContext(ctx))
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "aedb",
		Short: "An embedded, transactional, durable storage engine, from the command line",
		Long: `aedb imports files into a store, asks it questions, proves and repairs it.

A store is a directory. One process at a time can have it open; verbs that only read
look at it from outside, also while another process has it open, and change nothing.`,
		SilenceErrors:     true, // report says it, in one line
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.AddCommand(newImport(), newQuery(), newKV(), newStats(), newDemo(),
		newProjects(), newScopes(), newTables(), newDescribe(), newScan(), newScanKV(), newEvents(), newHealth(),
		newCheckpoint(), newVerify(), newCheck(), newDump(), newRepair(), newBackup(), newRestore())
	root.AddCommand(&cobra.Command{Use: "exit-codes", Short: "What the exit codes mean", Long: exitCodes})
	return root
}
