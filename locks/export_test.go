package locks

// Reserved returns how many locks are accounted for as held or waited for.
func (m *Manager) Reserved() int64 { return m.reserved.Load() }
