package catalog

import (
	"fmt"
	"testing"
)

// The cost of a statement must not grow with the number of tables.
func BenchmarkApplyCreateTable(b *testing.B) {
	for _, tables := range []int{10, 10_000} {
		b.Run(fmt.Sprintf("tables=%d", tables), func(b *testing.B) {
			c := mustApply(b, New(), CreateProject{Project: "p"})
			s := users()
			for i := range tables {
				s.Table = fmt.Sprintf("t%06d", i)
				c = mustApply(b, c, s)
			}
			s.Table = "new"
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := c.Apply(s, 1); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkTableByName(b *testing.B) {
	c := withUsers(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Table("p", "app", "users"); err != nil {
			b.Fatal(err)
		}
	}
}
