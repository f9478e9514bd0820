package main

import "context"

func failover(ctx context.Context, args []string) error { return nil }
