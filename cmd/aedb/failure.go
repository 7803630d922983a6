package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/errs"
)

// Exit codes. They are a contract with scripts; exitCodes is their description.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitDamaged     = 3
	exitUnavailable = 4
	exitConflict    = 5
	exitInterrupted = 130
)

const exitCodes = `Exit codes of every verb:

    0   done
    1   refused: the request, the file or the data does not fit; or a check failed
    2   usage: the command line makes no sense
    3   damaged: the store failed an integrity check
    4   unavailable: there is no store, it is open elsewhere, or the disk fails
    5   conflict or overload: the same command may succeed later
  130   interrupted by Ctrl-C or SIGTERM; the store was closed in good order

A failure is one line on standard error:

    error: <what> (<code>); hint: <what to do>

The codes are those of the engine, and besides: usage, no_store, key_not_found,
no_parent, no_backup, check_failed, parity_mismatch, interrupted, input and output.`

// failure is an error of the command line tool's own.
type failure struct {
	exit       int
	code       string
	what, hint string
}

func (f *failure) Error() string { return f.what }

func usagef(format string, args ...any) error {
	return &failure{exit: exitUsage, code: "usage", what: fmt.Sprintf(format, args...)}
}

// operation makes the RunE of a verb. Every error that it returns is a failure or
// the engine's, so any other comes from cobra and is about usage. What else may
// fail in a verb is writing the answer.
func operation(run func(cmd *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		err := run(cmd, args)
		var own *failure
		if err == nil || errors.As(err, &own) || aedb.CodeOf(err) != "" {
			return err
		}
		return &failure{
			exit: exitFailed, code: "output", what: "write the answer: " + err.Error(), hint: "see where the output goes",
		}
	}
}

// report writes the line for an error, if there is one, and returns the exit code.
func report(ctx context.Context, stderr io.Writer, err error) int {
	if err == nil {
		return exitOK
	}
	f := explain(ctx, err)
	hint := f.hint
	if hint == "" {
		hint = "see aedb help"
	}
	what := strings.Join(strings.Fields(f.what), " ") // one line, whatever is in it
	fmt.Fprintf(stderr, "error: %s (%s); hint: %s\n", what, f.code, hint)
	return f.exit
}

// explain makes a failure of any error.
func explain(ctx context.Context, err error) *failure {
	var own *failure
	if errors.As(err, &own) {
		return own
	}
	var engine *aedb.Error
	if !errors.As(err, &engine) {
		return &failure{exit: exitUsage, code: "usage", what: err.Error()}
	}
	if ctx.Err() != nil && (engine.Code == errs.CodeCanceled || engine.Code == errs.CodeOutcomeUnknown) {
		return &failure{
			exit: exitInterrupted, code: "interrupted", what: "interrupted: " + message(engine),
			hint: "the store is in good order; run the command again",
		}
	}
	f := &failure{exit: exitFailed, code: string(engine.Code), what: message(engine), hint: hints[engine.Code]}
	class := classes[engine.Class()]
	f.exit = class.exit
	switch engine.Code {
	case errs.CodeIO:
		f.exit = exitUnavailable
	case errs.CodeScanBoundExceeded, errs.CodeMaterializationBudget:
		f.exit = exitFailed
	}
	if f.hint == "" {
		f.hint = class.hint
	}
	var missing *aedb.MissingKeyError
	if errors.As(err, &missing) {
		f.hint = "give the key with --key-file or AEDB_KEYS"
	}
	return f
}

// message returns the text of an error without the codes in front.
func message(e *aedb.Error) string {
	var parts []string
	for err := error(e); err != nil; {
		engine, ok := err.(*aedb.Error)
		if !ok {
			parts = append(parts, err.Error())
			break
		}
		if engine.Message != "" {
			parts = append(parts, engine.Message)
		}
		err = engine.Err
	}
	return strings.Join(parts, ": ")
}

// classes give each class of the engine's errors its exit code, and the hint where
// the code has none of its own.
var classes = map[aedb.ErrorClass]struct {
	exit int
	hint string
}{
	aedb.ClassValidation:  {exitFailed, "correct the request or the data"},
	aedb.ClassRetryable:   {exitConflict, "run the command again"},
	aedb.ClassConflict:    {exitConflict, "look at the data and run the command again"},
	aedb.ClassPermission:  {exitFailed, "ask for the permission"},
	aedb.ClassIntegrity:   {exitDamaged, "keep a copy of the directory; aedb verify tells what is wrong, aedb repair --plan what can be saved"},
	aedb.ClassUnavailable: {exitUnavailable, "run the command again when the store is free"},
}

var hints = map[aedb.ErrorCode]string{
	errs.CodeIO:                    "look at the permissions, the space and the health of the disk",
	errs.CodeIntegrity:             "keep a copy of the directory; aedb verify tells what is wrong, aedb repair --plan what can be saved",
	errs.CodeRecoveryIntegrity:     "keep a copy of the directory; aedb verify tells what is wrong, aedb repair --plan what can be saved",
	errs.CodeTableNotFound:         "aedb stats lists the tables; aedb import --create makes one",
	errs.CodeProjectNotFound:       "give --project; aedb stats lists what there is",
	errs.CodeScopeNotFound:         "give --scope; aedb stats lists what there is",
	errs.CodeTableAlreadyExists:    "leave out --create, or import into a table of another name",
	errs.CodeUnknownColumn:         "aedb stats --json lists the columns of each table",
	errs.CodeColumnNotFound:        "aedb stats --json lists the columns of each table",
	errs.CodeDuplicatePrimaryKey:   "--mode upsert replaces rows that are there",
	errs.CodeUniqueViolation:       "correct the row, or make the index without --unique",
	errs.CodeNotNullViolation:      "--nullable on --create lets a column be null",
	errs.CodeScanBoundExceeded:     "add a condition that an index serves",
	errs.CodeMaterializationBudget: "add a condition, or an order that an index has",
	errs.CodeSeqGarbageCollected:   "the log does not reach back so far; read --at latest, or take a full backup",
}
