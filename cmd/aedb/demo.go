package main

import (
	"github.com/spf13/cobra"

	"github.com/empyrealapp/aedb-go/cmd/aedb/demo"
)

func newDemo() *cobra.Command { return demo.Command() }
