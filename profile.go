package aedb

import "time"

// ProductionConfig returns the profile of a store that must not lose anything: Full
// durability and Strict recovery, whatever the defaults may become, and one more
// checkpoint to fall back on.
func ProductionConfig() Config {
	cfg := DefaultConfig()
	cfg.Durability, cfg.Recovery = Full, Strict
	cfg.Checkpoint.Kept = 3
	return cfg
}

// LowLatencyConfig returns the profile of a store whose commits do not wait for the
// disk: Batch durability with a sync every 2 ms, or 512 KiB. A killed process loses
// nothing, a power cut the last moments of what was Visible; callers who need more
// wait for Durable, or commit as Economic.
func LowLatencyConfig() Config {
	cfg := DefaultConfig()
	cfg.Durability, cfg.Recovery = Batch, Strict
	cfg.BatchInterval, cfg.BatchBytes = 2*time.Millisecond, 512<<10
	return cfg
}

// DevelopmentConfig returns the profile of a store that may be lost: it syncs only
// when asked, and opens what it can of damaged files. That leaves a mark: a store
// that was opened with it once cannot be opened with the other profiles.
func DevelopmentConfig() Config {
	cfg := DefaultConfig()
	cfg.Durability, cfg.Recovery = OsBuffered, Permissive
	return cfg
}
