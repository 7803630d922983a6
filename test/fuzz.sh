#!/usr/bin/env bash
# Runs every fuzz target of the module for the given time each (default 10s).
#
# When the time ends while a worker is busy, the go command sometimes reports
# "context deadline exceeded" as the failure of the target. That is the end of
# the run, not a finding: a finding has a failing input, which is written down.
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-10s}
log=$(mktemp)
trap 'rm -f "$log"' EXIT

ended() {
	grep -q '^    context deadline exceeded$' "$log" &&
		! grep -qE 'Failing input|panic:|fuzzing process|testdata/fuzz' "$log"
}

grep -rlE '^func Fuzz[A-Z]' --include='*_test.go' --exclude-dir=peers . | xargs -n1 dirname | sort -u | while read -r dir; do
	grep -hoE '^func Fuzz[A-Za-z0-9_]+' "$dir"/*_test.go | sed 's/^func //' | while read -r target; do
		echo "$dir $target"
		go test -run '^$' -fuzz "^${target}\$" -fuzztime "$time" -fuzzminimizetime 10x "$dir" >"$log" 2>&1 </dev/null || {
			ended && continue
			cat "$log"
			exit 1
		}
	done
done
