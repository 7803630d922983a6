package demo

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// grouped writes a whole number with a comma at each thousand.
func grouped[N int | int64 | uint64](n N) string {
	s := strconv.FormatInt(int64(n), 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// brief writes a time with two or three digits that count.
func brief(d time.Duration) string {
	switch {
	case d < time.Microsecond:
		return fmt.Sprintf("%d ns", d)
	case d < time.Millisecond:
		return scaled(float64(d)/1e3, "µs")
	case d < time.Second:
		return scaled(float64(d)/1e6, "ms")
	}
	return scaled(d.Seconds(), "s")
}

// size writes a number of bytes.
func size(n int64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return scaled(float64(n)/(1<<10), "KiB")
	}
	return scaled(float64(n)/(1<<20), "MiB")
}

func scaled(v float64, unit string) string {
	if v < 9.95 {
		return fmt.Sprintf("%.1f %s", v, unit)
	}
	return fmt.Sprintf("%.0f %s", v, unit)
}

// share is a part of a whole; of nothing it is 0.
func share(part, whole float64) float64 {
	if whole <= 0 {
		return 0
	}
	return part / whole
}

// plural is a number with its noun.
func plural(n int, noun string) string {
	switch {
	case n == 1:
		return "1 " + noun
	case strings.HasSuffix(noun, "y"):
		return grouped(n) + " " + strings.TrimSuffix(noun, "y") + "ies"
	}
	return grouped(n) + " " + noun + "s"
}

// bar draws a fraction from 0 to 1 over so many cells. Anything above 0 shows.
func bar(fraction float64, cells int) string {
	full := int(fraction*float64(cells) + 0.5)
	if fraction > 0 {
		full = max(full, 1)
	}
	full = min(full, cells)
	return strings.Repeat("█", full) + strings.Repeat("░", cells-full)
}
