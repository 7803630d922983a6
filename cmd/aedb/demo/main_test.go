package demo

import (
	"context"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// asProgram, if set in the environment, makes the test binary the program: the
// demo starts its own file as a child, and in tests that is this binary.
const asProgram = "AEDB_DEMO_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) == "" {
		goleak.VerifyTestMain(m)
		return
	}
	cmd := Command()
	cmd.SetArgs(os.Args[1:])
	cmd.SilenceErrors = true
	if err := cmd.ExecuteContext(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}
