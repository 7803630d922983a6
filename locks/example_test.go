package locks_test

import (
	"context"
	"fmt"

	"github.com/empyrealapp/aedb-go/locks"
)

func Example() {
	manager := locks.New(locks.Limits{}, 0)
	defer manager.Close()
	ctx := context.Background()
	from := locks.Key{Project: "bank", Scope: "main", Object: "account 7"}
	to := locks.Key{Project: "bank", Scope: "main", Object: "account 3"}
	rates := locks.Key{Project: "bank", Scope: "main", Object: "rates"}

	transfer := manager.Guard(ctx)
	defer transfer.Release()
	err := transfer.LockAll(ctx,
		locks.Want{Key: from}, locks.Want{Key: to},
		locks.Want{Key: rates, Mode: locks.Shared})
	fmt.Println(len(transfer.Keys()), err)

	report := manager.Guard(ctx)
	defer report.Release()
	_, busy, _ := report.TryLock(from, locks.Shared)
	_, free, _ := report.TryLock(rates, locks.Shared)
	fmt.Println(busy, free)
	// Output:
	// 3 <nil>
	// false true
}
