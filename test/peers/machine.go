package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/empyrealapp/aedb-go/test/peers/adapter"
)

// about describes the machine, the versions and the command, in Markdown.
func about(o options) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Machine: %s, %d processors in use, %s, files on %s.\n\n",
		processor(), runtime.GOMAXPROCS(0), kernel(), fileSystem(o.Dir))
	fmt.Fprintf(&b, "Versions: %s", runtime.Version())
	if info, ok := debug.ReadBuildInfo(); ok {
		seen := map[string]bool{}
		for _, p := range adapter.All() {
			for _, dep := range info.Deps {
				if dep.Path == p.Package && !seen[dep.Path] {
					seen[dep.Path] = true
					fmt.Fprintf(&b, ", %s %s", dep.Path, dep.Version)
				}
			}
		}
	}
	fmt.Fprintf(&b, ".\n\nCommand: `go run . %s`, which is %d rounds, %d entries of 100 bytes, %s a measurement.\n",
		strings.Join(os.Args[1:], " "), o.Rounds, o.Entries, o.Duration)
	return b.String()
}

func processor() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

func kernel() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return runtime.GOOS
	}
	return unix.ByteSliceToString(u.Sysname[:]) + " " + unix.ByteSliceToString(u.Release[:])
}

func fileSystem(dir string) string {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return "an unknown file system"
	}
	switch st.Type {
	case unix.EXT4_SUPER_MAGIC:
		return "ext4"
	case unix.XFS_SUPER_MAGIC:
		return "xfs"
	case unix.BTRFS_SUPER_MAGIC:
		return "btrfs"
	case unix.TMPFS_MAGIC:
		return "tmpfs, where a sync costs nothing"
	}
	return fmt.Sprintf("file system %#x", st.Type)
}
